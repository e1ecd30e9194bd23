"""The reference that both sides answer to: clattn's own on the CPU, in double precision.

It is evaluated on some rows of every batch and head: the edges of tiles and of the sequence, and a few
at random. The limit of an error is that of `clattn check`: twice the error of the plain low-precision
evaluation of the same formula, and a small absolute term for what any f32 kernel may add.
"""

import ctypes
import json
import math
import random

from clattn_api import Comparison, Problem, Reference

PRECISION_EXACT, PRECISION_STORAGE = 0, 1
UNIT_ROUNDOFF = {"bf16": 2.0**-8, "f32": 2.0**-24}
SUM_ERROR = 1e-5  # relative to the largest value, or absolute below 1
SCORE_ROUNDING = 4 * 2.0**-24  # of the largest LSE: an error of a score is relative in its weight
RANDOM_ROWS = 8
EDGES = (0, 1, 63, 64, 127, 128, 191, 192)


def sampled_rows(length, seed):
    rows = {row for edge in EDGES for row in (edge, length // 2 + edge, length - 1 - edge)
            if 0 <= row < length}
    rows.update(random.Random(seed).sample(range(length), min(RANDOM_ROWS, length)))
    return sorted(rows)


class CProblem:
    """A problem as the C API takes it, from its JSON object; a context manager."""

    def __init__(self, api, problem):
        self.api = api
        self.struct = Problem(struct_size=ctypes.sizeof(Problem))
        api.call("clattn_problem_from_json", json.dumps(problem).encode(), None, self.pointer)

    @property
    def pointer(self):
        return ctypes.byref(self.struct)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.api.release("clattn_problem_release_parts", self.pointer)


class Expected:
    def __init__(self, api, problem, inputs, rows):
        self.api = api
        with CProblem(api, problem) as c_problem:
            self.exact, lse = self._evaluate(c_problem, problem, inputs, rows, PRECISION_EXACT)
            self.plain, _ = self._evaluate(c_problem, problem, inputs, rows, PRECISION_STORAGE)
        largest = largest_finite(self.exact)
        self.absolute = (
            largest * (UNIT_ROUNDOFF[problem["dtype"]] + SCORE_ROUNDING * largest_finite(lse))
            + SUM_ERROR * max(1.0, largest))

    def _evaluate(self, c_problem, problem, inputs, rows, precision):
        count = problem["batch"] * problem["heads"] * len(rows)
        output = (ctypes.c_double * (count * problem["value_dim"]))()
        lse = (ctypes.c_double * count)()
        queries = (ctypes.c_int64 * len(rows))(*rows)
        reference = self.api.initialized("clattn_reference_init", Reference)
        reference.precision = precision
        for role, tensor in inputs.host.items():
            setattr(reference, role, tensor.address)
            setattr(reference, role + "_bytes", tensor.bytes)
        reference.output, reference.output_count = ctypes.addressof(output), len(output)
        reference.lse, reference.lse_count = ctypes.addressof(lse), len(lse)
        reference.queries, reference.query_count = ctypes.addressof(queries), len(rows)
        self.api.call("clattn_reference_compute", c_problem.pointer, ctypes.byref(reference))
        return output, lse

    def compare(self, actual):
        """`actual`: an array of doubles, [batch, heads, rows, value_dim]."""
        values = (ctypes.c_double * len(actual))(*actual)
        comparison = Comparison(struct_size=ctypes.sizeof(Comparison))
        if len(values) != len(self.exact):
            raise ValueError(f"{len(values)} values to compare with {len(self.exact)}")
        self.api.call("clattn_reference_compare", values, self.exact, self.plain, len(values),
                      self.absolute, ctypes.byref(comparison))
        return comparison


def largest_finite(values):
    return max((abs(value) for value in values if math.isfinite(value)), default=0.0)
