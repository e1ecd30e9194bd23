"""clattn's side of a comparison: an engine for all cases, and for each a plan with its tensors.

Times are those of the device's events, from the end of one launch to the end of the next, as the
peers' CUDA events say them.
"""

import array
import ctypes
import pathlib

from clattn_api import Api, ClattnError, EngineOptions, PlanOptions, PlanReport, Rates, Tensors
from inputs import ELEMENT_BYTES, doubles_of, element_count, shapes_of
from opencl import DEVICE_NAME, DRIVER_VERSION, OpenCl, Queue
from reference import CProblem


def library_of(tool):
    """The shared library that was built, or installed, with the tool."""
    beside = pathlib.Path(tool).resolve().parent.parent
    for place in (beside / "host", beside / "lib", *(beside / "lib").glob("*-linux-gnu")):
        if (place / "libclattn.so").exists():
            return str(place / "libclattn.so")
    raise ClattnError(f"there is no libclattn.so beside {tool}: in neither {beside}/host nor /lib", None)


class Engine:
    def __init__(self, tool, device):
        self.api = Api(library_of(tool))
        self.opencl = OpenCl()
        options = self.api.initialized("clattn_engine_options_init", EngineOptions)
        options.device = device.encode() if device else None
        self.handle = ctypes.c_void_p()
        self.api.call("clattn_engine_create", ctypes.byref(options), ctypes.byref(self.handle))
        context = ctypes.c_void_p()
        self.api.call("clattn_engine_get_context", self.handle, ctypes.byref(context))
        self.device = self.opencl.only_device(context)
        self.queue = Queue(self.opencl, context, self.device)
        self.device_name = self.opencl.device_text(self.device, DEVICE_NAME)
        self.driver_version = self.opencl.device_text(self.device, DRIVER_VERSION)

    def rates(self):
        rates = Rates(struct_size=ctypes.sizeof(Rates))
        self.api.call("clattn_engine_get_rates", self.handle, ctypes.byref(rates))
        return rates

    def release(self):
        self.queue.release()
        self.api.release("clattn_engine_release", self.handle)


class ClattnSide:
    """A plan and its tensors on the device; a context manager. Raises ClattnError, whose
    `unsupported` says that the device or the family does not take the problem."""

    name = "clattn"

    def __init__(self, engine, problem, family, inputs):
        self.engine, self.problem = engine, problem
        self.plan = ctypes.c_void_p()
        self.buffers = {}
        options = engine.api.initialized("clattn_plan_options_init", PlanOptions)
        options.family = family.encode()
        with CProblem(engine.api, problem) as c_problem:
            engine.api.call("clattn_plan_create", engine.handle, c_problem.pointer,
                            ctypes.byref(options), ctypes.byref(self.plan))
        self.report = PlanReport(struct_size=ctypes.sizeof(PlanReport))
        engine.api.call("clattn_plan_get_report", self.plan, ctypes.byref(self.report))
        for role, tensor in inputs.host.items():
            self.buffers[role] = engine.queue.buffer(tensor.bytes, tensor.address)
        self.output_shape = (*shapes_of(problem)["query"][:3], problem["value_dim"])
        self.element_bytes = ELEMENT_BYTES[problem["dtype"]]
        self.buffers["output"] = engine.queue.buffer(
            element_count(self.output_shape) * self.element_bytes)
        self.tensors = engine.api.initialized("clattn_tensors_init", Tensors)
        for role, buffer in self.buffers.items():
            getattr(self.tensors, role).buffer = buffer

    @property
    def label(self):
        return f"{self.report.family.decode()} {self.report.config.decode()}"

    @property
    def flops(self):
        return self.report.flops

    @property
    def bytes(self):
        return self.report.bytes

    def enqueue(self, queue):
        event = ctypes.c_void_p()
        self.engine.api.call("clattn_plan_enqueue", self.plan, queue, ctypes.byref(self.tensors), 0,
                             None, ctypes.byref(event))
        return event

    def batch(self, launches):
        return self.engine.queue.batch(self.enqueue, launches)

    def rows(self, rows):
        """Those of the output, [batch, heads, rows, value_dim], of one launch."""
        self.batch(0)
        batch, heads, length, dim = self.output_shape
        row_bytes = dim * self.element_bytes
        values = array.array("d")
        for head in range(batch * heads):
            for row in rows:
                raw = self.engine.queue.read(self.buffers["output"], (head * length + row) * row_bytes,
                                             row_bytes)
                values.extend(doubles_of(self.problem["dtype"], raw))
        return values

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.engine.api.release("clattn_plan_release", self.plan)
        for buffer in self.buffers.values():
            self.engine.opencl.call("clReleaseMemObject", buffer)
