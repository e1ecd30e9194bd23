"""Random inputs of a problem, the same for clattn and its peers: normal values, by role.

With PyTorch they come from torch.randn on the peers' device; without it, from a table of the normal
distribution's quantiles. Zeros or constants would be faster than real data: a GPU then draws less
power and keeps a higher clock. Tensors are [batch, heads, length, dim], contiguous.
"""

import array
import random
import statistics
import struct

QUANTILES = 1 << 16
CHUNK = 1 << 20  # elements
ELEMENT_BYTES = {"bf16": 2, "f32": 4}


def shapes_of(problem):
    batch, key_len = problem["batch"], problem["kv_len"]
    return {"query": (batch, problem["heads"], problem["q_len"], problem["head_dim"]),
            "key": (batch, problem["kv_heads"], key_len, problem["head_dim"]),
            "value": (batch, problem["kv_heads"], key_len, problem["value_dim"])}


def element_count(shape):
    count = 1
    for size in shape:
        count *= size
    return count


class HostTensor:
    """Raw storage: where it is and how long. `owner` keeps it alive."""

    def __init__(self, owner, address, size):
        self.owner, self.address, self.bytes = owner, address, size


class Inputs:
    """`host` by role; `torch` by role on the peers' device, empty without PyTorch."""

    def __init__(self, problem, seed, torch=None, torch_device=None):
        self.host, self.torch = {}, {}
        shapes = shapes_of(problem)
        if torch is None:
            table = quantiles(problem["dtype"])
            generator = random.Random(seed)
            for role, shape in shapes.items():
                values = drawn(table, generator, element_count(shape))
                address, count = values.buffer_info()
                self.host[role] = HostTensor(values, address, count * values.itemsize)
            return
        generator = torch.Generator(device=torch_device).manual_seed(seed)
        data_type = {"bf16": torch.bfloat16, "f32": torch.float32}[problem["dtype"]]
        for role, shape in shapes.items():
            tensor = torch.randn(shape, generator=generator, device=torch_device).to(data_type)
            copy = tensor.cpu()
            self.torch[role] = tensor
            self.host[role] = HostTensor(copy, copy.data_ptr(), copy.numel() * copy.element_size())


def quantiles(data_type):
    """The centres of equally likely parts of the normal distribution, as elements of the type."""
    normal = statistics.NormalDist()
    values = [normal.inv_cdf((i + 0.5) / QUANTILES) for i in range(QUANTILES)]
    if data_type == "f32":
        return array.array("f", values)
    return array.array("H", (struct.unpack("<I", struct.pack("<f", value))[0] >> 16
                             for value in values))


def drawn(table, generator, count):
    values = array.array(table.typecode)
    for begin in range(0, count, CHUNK):
        indices = array.array("H", generator.randbytes(2 * min(CHUNK, count - begin)))
        values.extend(map(table.__getitem__, indices))
    return values


def doubles_of(data_type, raw):
    """The values of stored elements."""
    if data_type == "f32":
        return array.array("d", array.array("f", raw))
    bits = array.array("I", (code << 16 for code in array.array("H", raw)))
    return array.array("d", array.array("f", bits.tobytes()))
