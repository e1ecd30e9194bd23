"""The problems on which clattn is held against its peers, each with the peer and the target.

A problem is the JSON object that clattn reads (README, "Problems"); the peers' masks and modifiers are
made of the same object, so that a problem is written once. `reduced` cuts a problem down to what any
device checks in an instant, without changing its kind.
"""

import dataclasses
import random


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    problem: dict
    peer: str | None = None  # "cudnn", "flash", "flex" as in torch_side.PEERS; None: only the bound
    target: float | None = None  # least time of the peer to time of clattn
    family: str = ""  # of clattn's kernels; "": the planner's choice
    peer_is_dense: bool = False  # the peer computes the same problem without its mask



def problem_of(length, head_dim, *, batch=1, heads=16, kv_heads=None, dtype="bf16", mask=None,
               score=None):
    problem = {"batch": batch, "heads": heads, "kv_heads": kv_heads or heads, "q_len": length,
               "kv_len": length, "head_dim": head_dim, "value_dim": head_dim, "dtype": dtype}
    if mask:
        problem["mask"] = mask
    if score:
        problem["score"] = score
    return problem


CAUSAL = {"causal": {}}


def without_mask(problem):
    return {key: value for key, value in problem.items() if key != "mask"}


def random_blocks(blocks, kept, seed):
    """Rows of "0" and "1", `kept` blocks in each row, the same for all batches and heads."""
    generator = random.Random(seed)
    rows = []
    for _ in range(blocks):
        chosen = set(generator.sample(range(blocks), kept))
        rows.append("".join("1" if block in chosen else "0" for block in range(blocks)))
    return {"blocks": {"q_block": 128, "k_block": 128, "mask": [[rows]]}}


def alibi_slopes(heads):
    """Of arXiv 2108.12409, for a power of two of heads."""
    return [2.0 ** (-8 * (head + 1) / heads) for head in range(heads)]


def neighborhood(grid, window, stride):
    return {"neighborhood": {"grid": grid, "window": window, "stride": stride}}


def plain_and_causal(name, peer, target, causal_target, family="", **shape):
    return [Case(name, problem_of(**shape), peer, target, family),
            Case(name + "_causal", problem_of(**shape, mask=CAUSAL), peer, causal_target, family)]


def all_cases(seed):
    """The seed is that of random patterns."""
    video = {"grid": [30, 48, 80], "window": [18, 24, 24]}
    documents = {"lengths": [700, 5000, 1200, 3100, 900, 2484, 3000], "mask": CAUSAL}
    return [
        *plain_and_causal("d128", "cudnn", 1.15, 1.15, length=16384, head_dim=128),
        *plain_and_causal("d128_b4", "cudnn", 1.1, 1.05, length=4096, head_dim=128, batch=4),
        *plain_and_causal("d64_b2", "cudnn", 1.2, 1.1, length=8192, head_dim=64, batch=2, heads=32),
        *plain_and_causal("d256", "cudnn", 1.0, 1.0, length=16384, head_dim=256, heads=8),
        *plain_and_causal("gqa", "cudnn", 1.1, 1.1, length=16384, head_dim=128, heads=32, kv_heads=8),
        Case("ragged_causal",
             problem_of(5003, 80, batch=3, heads=20, mask=CAUSAL), "flex", 1.5),
        Case("documents_causal",
             problem_of(16384, 128, mask={"documents": documents}), "flex", 1.5),
        Case("window",
             problem_of(16384, 128, mask={"window": {"left": 1023, "right": 0}}), "flex", 1.8),
        Case("random_blocks",
             problem_of(16384, 128, mask=random_blocks(128, 14, seed)), "flex", 1.5),
        Case("softcap_alibi_causal",
             problem_of(16384, 128, mask=CAUSAL,
                        score=[{"softcap": 30}, {"alibi": {"slopes": alibi_slopes(16)}}]),
             "flex", 1.3),
        Case("neighborhood_2d",
             problem_of(16384, 128, mask=neighborhood([128, 128], [31, 31], [1, 1])), "flex", 3.0),
        Case("neighborhood_3d",
             problem_of(115200, 128, heads=24, mask=neighborhood(**video, stride=[1, 1, 1])),
             "cudnn", 4.0, peer_is_dense=True),
        Case("neighborhood_3d_strides",
             problem_of(115200, 128, heads=24, mask=neighborhood(**video, stride=[16, 8, 8])),
             "cudnn", 12.0, peer_is_dense=True),
        *plain_and_causal("mma", "flash", 1.0, 1.0, "nvidia_mma", length=16384, head_dim=128),
        Case("portable_f32", problem_of(8192, 64, dtype="f32"), family="portable"),
    ]


def reduced(problem, share=32):
    """The same kind of problem with lengths about 1 / share, and two key heads at most."""
    small = dict(problem)
    group = problem["heads"] // problem["kv_heads"]
    small["batch"] = min(problem["batch"], 2)
    small["kv_heads"] = min(problem["kv_heads"], 2)
    small["heads"] = group * small["kv_heads"]
    length = -(-problem["q_len"] // share)
    if "score" in problem:
        small["score"] = [
            {"alibi": {"slopes": score["alibi"]["slopes"][: small["heads"]]}}
            if "alibi" in score else score for score in problem["score"]]
    (kind, value), = problem.get("mask", CAUSAL).items()
    if kind == "window":
        small["mask"] = {"window": {"left": value["left"] // share, "right": value["right"]}}
    elif kind == "documents":
        lengths = [-(-tokens // share) for tokens in value["lengths"]]
        small["mask"] = {"documents": {**value, "lengths": lengths}}
        length = sum(lengths)
    elif kind == "blocks":
        rows = value["mask"][0][0]
        count = len(rows) // share
        small["mask"] = {"blocks": {**value, "mask": [[[row[:count] for row in rows[:count]]]]}}
    elif kind == "neighborhood":
        grid = [-(-tokens // 4) for tokens in value["grid"]]
        small["mask"] = neighborhood(grid, [max(2, window // 4) for window in value["window"]],
                                     [max(1, stride // 4) for stride in value["stride"]])
        length = 1
        for tokens in grid:
            length *= tokens
    small["q_len"] = small["kv_len"] = length
    return small
