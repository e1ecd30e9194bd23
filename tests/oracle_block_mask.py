#!/usr/bin/env python3
"""Block masks that are not ours: a problem file, tensors, lists and output in FlexAttention's format.

Writes into a folder, for each case, problem.json whose mask names the lists of a BlockMask (int32
.npy files), q.npy, k.npy, v.npy, and o.npy, the attention under that mask. With --by torch, PyTorch's
create_block_mask and flex_attention make lists and output; with --by numpy, a literal transcription
of what create_block_mask is documented to do, and plain attention in double precision: the mask
function is evaluated over all pairs, padded with False to whole blocks; a block is full if all of its
pairs are visible, partial if some are; indices are a stable descending argsort of the blocks' flags.
Where a package is missing it says so and exits with 77, which CTest takes for a skip.
"""

import argparse
import json
import pathlib
import sys

SKIP = 77

try:
    import numpy as np
except ImportError as error:
    print(f"skipped: {error}", file=sys.stderr)
    sys.exit(SKIP)

BATCH, HEADS, KV_HEADS, DIM = 2, 4, 2, 32

# name: queries, keys, (query block, key block), mask function, the same in OpenCL C, buffers
DOCUMENTS = np.sort(np.random.default_rng(3).integers(0, 5, 300)).astype(np.int32)
CASES = {
    "head_windows": (256, 256, (64, 32),
                     lambda b, h, q, k, _: (q >= k) & (q - k <= 20 * (h + 1)),
                     "query >= key && query - key <= 20 * (head + 1)", {}),
    "documents": (300, 300, (128, 128),
                  lambda b, h, q, k, ids: (ids[q] == ids[k]) & (q >= k),
                  "documents[query] == documents[key] && query >= key",
                  {"documents": DOCUMENTS}),
    "batches": (200, 330, (32, 64),
                lambda b, h, q, k, _: (k // 48 + q // 40 + b) % 3 == 0,
                "(key / 48 + query / 40 + batch) % 3 == 0", {}),
}


def transcribed(mask_mod, queries, keys, block, ids):
    """The four lists of create_block_mask, and the mask itself."""
    b, h, q, k = np.ogrid[:BATCH, :HEADS, :queries, :keys]
    mask = np.broadcast_to(mask_mod(b, h, q, k, ids), (BATCH, HEADS, queries, keys))
    padded = np.zeros((BATCH, HEADS, -(-queries // block[0]) * block[0],
                       -(-keys // block[1]) * block[1]), bool)
    padded[:, :, :queries, :keys] = mask
    blocks = padded.reshape(BATCH, HEADS, padded.shape[2] // block[0], block[0],
                            padded.shape[3] // block[1], block[1]).sum(axis=(3, 5))
    full = blocks == block[0] * block[1]
    lists = []
    for flags in ((blocks > 0) & ~full, full):
        lists.append(flags.sum(-1).astype(np.int32))
        lists.append(np.argsort(~flags, axis=-1, kind="stable").astype(np.int32))
    return lists, mask


def plain_attention(query, key, value, mask):
    """In double precision; a row without a visible key gives zeros."""
    key, value = (np.repeat(x, HEADS // KV_HEADS, axis=1).astype(np.float64) for x in (key, value))
    scores = query.astype(np.float64) @ key.swapaxes(2, 3) / np.sqrt(DIM)
    weights = np.where(mask, np.exp(scores - scores.max(-1, keepdims=True)), 0)
    total = weights.sum(-1, keepdims=True)
    return np.where(total > 0, weights @ value / np.where(total > 0, total, 1), 0)


def by_torch(mask_mod, queries, keys, block, ids, tensors):
    """Lists and output of PyTorch, on its GPU where it has one."""
    try:
        import torch
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention
    except ImportError as error:
        print(f"skipped: {error}", file=sys.stderr)
        sys.exit(SKIP)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ids = None if ids is None else torch.tensor(ids, device=device)
    block_mask = create_block_mask(lambda b, h, q, k: mask_mod(b, h, q, k, ids), BATCH, HEADS,
                                   queries, keys, device=device, BLOCK_SIZE=block)
    output = flex_attention(*(torch.tensor(t, device=device) for t in tensors),
                            block_mask=block_mask, enable_gqa=True)
    lists = [getattr(block_mask, name).cpu().numpy().astype(np.int32)
             for name in ("kv_num_blocks", "kv_indices", "full_kv_num_blocks", "full_kv_indices")]
    return lists, output.cpu().numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--by", choices=("numpy", "torch"), required=True)
    parser.add_argument("folder", type=pathlib.Path)
    arguments = parser.parse_args()

    for name, (queries, keys, block, mask_mod, expression, buffers) in CASES.items():
        random = np.random.default_rng(1)
        query = random.standard_normal((BATCH, HEADS, queries, DIM), np.float32)
        key, value = (random.standard_normal((BATCH, KV_HEADS, keys, DIM), np.float32)
                      for _ in range(2))
        ids = next(iter(buffers.values()), None)
        if arguments.by == "torch":
            lists, output = by_torch(mask_mod, queries, keys, block, ids, (query, key, value))
        else:
            lists, mask = transcribed(mask_mod, queries, keys, block, ids)
            output = plain_attention(query, key, value, mask).astype(np.float32)
        folder = arguments.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        opencl = {"expression": expression, "buffers": {n: f"{n}.npy" for n in buffers}}
        mask = {"q_block": block[0], "k_block": block[1], "mask": {"opencl": opencl}}
        arrays = dict(zip(("partial_count", "partial_index", "full_count", "full_index"), lists))
        mask.update({n: f"{n}.npy" for n in arrays})
        (folder / "problem.json").write_text(json.dumps({"mask": {"block_lists": mask}}))
        arrays.update(buffers, q=query, k=key, v=value, o=output)
        for array_name, array in arrays.items():
            np.save(folder / f"{array_name}.npy", array)


if __name__ == "__main__":
    main()
