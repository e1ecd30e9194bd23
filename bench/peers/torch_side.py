"""The peers' side: PyTorch's scaled_dot_product_attention by backend, and compiled FlexAttention.

FlexAttention's masks and modifiers are made of the problem's JSON object; its BlockMask is made before
anything is timed, as clattn's plan is. On a CPU, where only a dry run uses it, the peers' kernels do not
exist: PyTorch then computes the same problem by whatever it has, which still tells whether the masks
mean the same.
"""

import array
import contextlib

PEERS = {"cudnn": "cuDNN", "flash": "FlashAttention-2", "flex": "FlexAttention"}
BLOCK = 128  # of FlexAttention's BlockMask: its default


def import_torch():
    """PyTorch, or None and why not."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library of CUDA's is missing
        return None, f"no PyTorch ({error})"
    return torch, ""


def versions(torch):
    return {"torch": torch.__version__, "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version()}


class TorchSide:
    """One peer ready to run one problem. Raises RuntimeError where PyTorch refuses it."""

    def __init__(self, torch, peer, problem, inputs):
        self.torch, self.peer = torch, peer
        self.name = PEERS[peer]
        self.label = self.name
        self.on_gpu = inputs.torch["query"].is_cuda
        if peer != "flex" and not set(problem.get("mask", {})) <= {"causal"}:
            raise RuntimeError(f"{self.name} has no such mask: {problem['mask']}")
        tensors = [inputs.torch[role] for role in ("query", "key", "value")]
        grouped = problem["heads"] != problem["kv_heads"]
        if peer == "flex":
            self.attend = self._flex(problem, tensors, grouped)
        else:
            causal = "mask" in problem
            attention = torch.nn.functional.scaled_dot_product_attention
            self.attend = lambda: attention(*tensors, is_causal=causal, enable_gqa=grouped)

    def _flex(self, problem, tensors, grouped):
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        device = tensors[0].device
        self.torch.compiler.reset()  # each case compiles its own kernel
        attention = flex_attention
        if self.on_gpu:
            attention = self.torch.compile(flex_attention, dynamic=False)
        block_mask = None
        if "mask" in problem:
            block_mask = create_block_mask(
                mask_mod(self.torch, problem["mask"], problem["q_len"], device), B=None, H=None,
                Q_LEN=problem["q_len"], KV_LEN=problem["kv_len"], device=device, BLOCK_SIZE=BLOCK)
        score = None
        if "score" in problem:
            score = score_mod(self.torch, problem["score"], device)
        return lambda: attention(*tensors, score_mod=score, block_mask=block_mask,
                                 enable_gqa=grouped)

    def backend(self):
        """The context in which only this peer's kernel may run."""
        if self.peer == "flex" or not self.on_gpu:
            return contextlib.nullcontext()
        from torch.nn.attention import SDPBackend, sdpa_kernel

        return sdpa_kernel({"cudnn": SDPBackend.CUDNN_ATTENTION,
                            "flash": SDPBackend.FLASH_ATTENTION}[self.peer])

    def batch(self, launches):
        """As opencl.Queue.batch, by CUDA events."""
        events = []
        with self.backend(), self.torch.no_grad():
            for _ in range(launches + 1):
                self.attend()
                events.append(self.torch.cuda.Event(enable_timing=True))
                events[-1].record()
        self.torch.cuda.synchronize()
        return [before.elapsed_time(end) * 1e-3 for before, end in zip(events, events[1:])]

    def rows(self, rows):
        """Those of the output, [batch, heads, rows, value_dim]."""
        with self.backend(), self.torch.no_grad():
            output = self.attend()
        index = self.torch.tensor(rows, device=output.device)
        return array.array("d", output.index_select(2, index).double().flatten().tolist())


def mask_mod(torch, mask, length, device):
    """FlexAttention's form of a mask over as many keys as queries."""
    (kind, value), = mask.items()
    if kind == "causal":
        return lambda b, h, query, key: query >= key
    if kind == "window":
        left, right = value["left"], value["right"]
        return lambda b, h, query, key: (query - key <= left) & (key - query <= right)
    if kind == "documents" and value["mask"] == {"causal": {}}:
        lengths = torch.tensor(value["lengths"], device=device)
        document = torch.repeat_interleave(torch.arange(len(lengths), device=device), lengths)
        return lambda b, h, query, key: (document[query] == document[key]) & (query >= key)
    if kind == "blocks" and value["q_block"] == value["k_block"] and len(value["mask"][0]) == 1:
        size = value["q_block"]
        kept = torch.tensor([[block == "1" for block in row] for row in value["mask"][0][0]],
                            device=device)
        return lambda b, h, query, key: kept[query // size, key // size]
    if kind == "neighborhood":
        return neighborhood_mod(**value)
    raise RuntimeError(f"the mask {kind} is not written for FlexAttention")


def neighborhood_mod(grid, window, stride):
    def visible(b, h, query, key):
        result = None
        for length, width, step in reversed(list(zip(grid, window, stride))):
            coordinate, other = query % length, key % length
            query, key = query // length, key // length
            leader = (coordinate // step * step + step // 2).clamp(max=length - 1)
            start = (leader - width // 2).clamp(0, length - width)
            inside = (other >= start) & (other < start + width)
            result = inside if result is None else result & inside
        return result

    return visible


def score_mod(torch, modifiers, device):
    """FlexAttention's form of modifiers, applied in their order."""
    steps = []
    for modifier in modifiers:
        (kind, value), = modifier.items()
        if kind == "softcap":
            steps.append(softcap_step(torch, value))
        elif kind == "alibi":
            steps.append(alibi_step(torch.tensor(value["slopes"], device=device)))
        else:
            raise RuntimeError(f"the modifier {kind} is not written for FlexAttention")

    def modified(score, b, h, query, key):
        for step in steps:
            score = step(score, h, query, key)
        return score

    return modified


def softcap_step(torch, cap):
    return lambda score, h, query, key: cap * torch.tanh(score / cap)


def alibi_step(slopes):
    return lambda score, h, query, key: score - slopes[h] * (query - key).abs()
