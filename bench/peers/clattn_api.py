"""clattn's C API through ctypes: what the benchmark needs of host/include/clattn/clattn.h.

The structs repeat the header's, member by member. The library compares struct_size with its own and
refuses anything else, so that a struct that has fallen behind the header is an error and not a wrong
number. Failing calls raise ClattnError with the library's message.
"""

import ctypes
from ctypes import c_char_p, c_double, c_float, c_int32, c_int64, c_size_t, c_void_p

STATUS_UNSUPPORTED, STATUS_DEVICE_LIMIT = 2, 3


class ClattnError(Exception):
    def __init__(self, message, status):
        super().__init__(message)
        self.unsupported = status in (STATUS_UNSUPPORTED, STATUS_DEVICE_LIMIT)


class EngineOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("trace", c_int32), ("device", c_char_p),
                ("cache_dir", c_char_p), ("log", c_void_p), ("log_user", c_void_p),
                ("tuning", c_char_p), ("without_default_tuning", c_int32)]


class Strides(ctypes.Structure):
    _fields_ = [("batch", c_int64), ("head", c_int64), ("token", c_int64)]


class BlockShape(ctypes.Structure):
    _fields_ = [("query_block", c_int64), ("key_block", c_int64), ("batch", c_int64),
                ("heads", c_int64), ("capacity", c_int64)]


class TokenOrder(ctypes.Structure):
    _fields_ = [("rank", c_int64), ("grid", c_int64 * 3), ("tile", c_int64 * 3),
                ("dilation", c_int64 * 3)]


class Problem(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("batch", c_int64), ("heads", c_int64),
                ("kv_heads", c_int64), ("query_len", c_int64), ("key_len", c_int64),
                ("head_dim", c_int64), ("value_dim", c_int64), ("data_type", c_int32),
                ("layout", c_int32), ("lse", c_int32), ("has_scale", c_int32), ("scale", c_float),
                ("has_strides", c_int32 * 4), ("strides", Strides * 4), ("mask", c_void_p),
                ("has_blocks", c_int32), ("blocks", BlockShape), ("has_token_order", c_int32),
                ("token_order", TokenOrder), ("scores", c_void_p), ("score_count", c_size_t),
                ("sink_logits", c_void_p), ("sink_logit_count", c_size_t), ("owned", c_void_p)]


class PlanOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("family", c_char_p), ("query_tile", c_void_p),
                ("key_tile", c_void_p), ("tile_rank", c_size_t), ("tokens", c_int32),
                ("config", c_char_p)]


class PlanReport(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("family", c_char_p), ("config", c_char_p),
                ("parameters", c_char_p), ("config_source", c_char_p),
                ("why", c_char_p), ("rejected", c_void_p), ("rejected_count", c_size_t),
                ("query_tile", c_int64), ("key_tile", c_int64), ("tiles_total", c_double),
                ("tiles_visited", c_double), ("tiles_masked", c_double),
                ("visible_pairs", c_double), ("pairs_counted", c_int32), ("flops", c_double),
                ("bytes", c_double), ("balance", c_double), ("split_rows", c_int64),
                ("parts", c_int64), ("work_groups", c_int64), ("work_group_size", c_int64),
                ("local_memory_bytes", c_int64), ("device_memory_bytes", c_int64),
                ("tilings", c_void_p), ("tiling_count", c_size_t),
                ("dense_efficiency", c_double)]


class Tensor(ctypes.Structure):
    _fields_ = [("buffer", c_void_p), ("offset", c_int64)]


class BlockListBuffers(ctypes.Structure):
    _fields_ = [(name, c_void_p) for name in ("partial_count", "partial_index", "full_count",
                                              "full_index", "key_lengths", "row_order")]


class Tensors(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("query", Tensor), ("key", Tensor), ("value", Tensor),
                ("output", Tensor), ("lse", Tensor), ("blocks", BlockListBuffers),
                ("buffers", c_void_p), ("buffer_count", c_size_t)]


class Rates(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("flops_per_second", c_double),
                ("bytes_per_second", c_double)]


class Reference(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("precision", c_int32), ("query", c_void_p),
                ("query_bytes", c_size_t), ("key", c_void_p), ("key_bytes", c_size_t),
                ("value", c_void_p), ("value_bytes", c_size_t), ("output", c_void_p),
                ("output_count", c_size_t), ("lse", c_void_p), ("lse_count", c_size_t),
                ("progress", c_void_p), ("progress_user", c_void_p), ("queries", c_void_p),
                ("query_count", c_size_t)]


class Comparison(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("pass_", c_int32), ("max_error", c_double),
                ("relative_error", c_double), ("limit", c_double), ("worst", c_int64),
                ("worst_actual", c_double), ("worst_expected", c_double), ("non_finite", c_int64)]


POINTER = ctypes.POINTER

# name: argument types of a function that returns a clattn_status
FUNCTIONS = {
    "clattn_engine_options_init": (POINTER(EngineOptions), c_size_t),
    "clattn_engine_create": (POINTER(EngineOptions), POINTER(c_void_p)),
    "clattn_engine_get_context": (c_void_p, POINTER(c_void_p)),
    "clattn_engine_get_rates": (c_void_p, POINTER(Rates)),
    "clattn_problem_from_json": (c_char_p, c_char_p, POINTER(Problem)),
    "clattn_problem_validate": (POINTER(Problem),),
    "clattn_plan_options_init": (POINTER(PlanOptions), c_size_t),
    "clattn_plan_create": (c_void_p, POINTER(Problem), POINTER(PlanOptions), POINTER(c_void_p)),
    "clattn_plan_get_report": (c_void_p, POINTER(PlanReport)),
    "clattn_plan_enqueue": (c_void_p, c_void_p, POINTER(Tensors), ctypes.c_uint32, c_void_p,
                            POINTER(c_void_p)),
    "clattn_tensors_init": (POINTER(Tensors), c_size_t),
    "clattn_reference_init": (POINTER(Reference), c_size_t),
    "clattn_reference_compute": (POINTER(Problem), POINTER(Reference)),
    "clattn_reference_compare": (c_void_p, c_void_p, c_void_p, c_size_t, c_double,
                                 POINTER(Comparison)),
}
# name: argument types of a function that returns nothing
RELEASES = {
    "clattn_engine_release": (c_void_p,),
    "clattn_plan_release": (c_void_p,),
    "clattn_problem_release_parts": (POINTER(Problem),),
}


class Api:
    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        for name, types in FUNCTIONS.items():
            getattr(self.library, name).argtypes = types
        for name, types in RELEASES.items():
            function = getattr(self.library, name)
            function.argtypes, function.restype = types, None
        for name in ("clattn_last_error", "clattn_version_string"):
            getattr(self.library, name).restype = c_char_p

    def call(self, name, *arguments):
        status = getattr(self.library, name)(*arguments)
        if status != 0:
            raise ClattnError(f"{name}: {self.library.clattn_last_error().decode()}", status)

    def release(self, name, argument):
        getattr(self.library, name)(argument)

    def initialized(self, name, struct_type):
        """A struct with the library's defaults."""
        struct = struct_type()
        self.call(name, ctypes.byref(struct), ctypes.sizeof(struct_type))
        return struct

    @property
    def version(self):
        return self.library.clattn_version_string().decode()
