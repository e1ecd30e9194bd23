"""The few OpenCL calls that timing needs, through ctypes: pyopencl is not everywhere.

A Queue is in-order and profiled. Its buffers are the caller's to release; its events live as long as
one batch of launches. Failing calls raise OpenClError, which names the call and its code.
"""

import ctypes

PROFILING_ENABLE = 2
MEM_READ_WRITE = 1
CONTEXT_DEVICES = 0x1081
DEVICE_NAME = 0x102B
DRIVER_VERSION = 0x102D
PROFILING_COMMAND_END = 0x1283
EVENT_EXECUTION_STATUS = 0x11D3

Handle = ctypes.c_void_p
Size = ctypes.c_size_t
Count = ctypes.c_uint32
Flags = ctypes.c_uint64
Result = ctypes.POINTER(ctypes.c_int32)

# name: argument types of a function that returns a cl_int
FUNCTIONS = {
    "clGetContextInfo": (Handle, Count, Size, Handle, Handle),
    "clGetDeviceInfo": (Handle, Count, Size, Handle, Handle),
    "clGetEventInfo": (Handle, Count, Size, Handle, Handle),
    "clGetEventProfilingInfo": (Handle, Count, Size, Handle, Handle),
    "clEnqueueWriteBuffer": (Handle, Handle, Count, Size, Size, Handle, Count, Handle, Handle),
    "clEnqueueReadBuffer": (Handle, Handle, Count, Size, Size, Handle, Count, Handle, Handle),
    "clEnqueueFillBuffer": (Handle, Handle, Handle, Size, Size, Size, Count, Handle, Handle),
    "clFlush": (Handle,),
    "clFinish": (Handle,),
    "clReleaseEvent": (Handle,),
    "clReleaseMemObject": (Handle,),
    "clReleaseCommandQueue": (Handle,),
}


class OpenClError(Exception):
    pass


class OpenCl:
    """The loader's functions; `call` checks their codes."""

    def __init__(self):
        self.loader = ctypes.CDLL("libOpenCL.so.1")
        for name, types in FUNCTIONS.items():
            getattr(self.loader, name).argtypes = types
        self.loader.clCreateCommandQueue.argtypes = (Handle, Handle, Flags, Result)
        self.loader.clCreateCommandQueue.restype = Handle
        self.loader.clCreateBuffer.argtypes = (Handle, Flags, Size, Handle, Result)
        self.loader.clCreateBuffer.restype = Handle

    def call(self, name, *arguments):
        self.check(name, getattr(self.loader, name)(*arguments))

    def create(self, name, *arguments):
        code = ctypes.c_int32()
        handle = getattr(self.loader, name)(*arguments, ctypes.byref(code))
        self.check(name, code.value)
        return Handle(handle)

    @staticmethod
    def check(name, code):
        if code != 0:
            raise OpenClError(f"{name} failed with code {code}")

    def only_device(self, context):
        """Of a context with one device."""
        device = Handle()
        self.call("clGetContextInfo", context, CONTEXT_DEVICES, ctypes.sizeof(device),
                  ctypes.byref(device), None)
        return device

    def device_text(self, device, what):
        size = Size()
        self.call("clGetDeviceInfo", device, what, 0, None, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        self.call("clGetDeviceInfo", device, what, size, text, None)
        return text.value.decode()


class Queue:
    def __init__(self, opencl, context, device):
        self.opencl = opencl
        self.context = context
        self.handle = opencl.create("clCreateCommandQueue", context, device, PROFILING_ENABLE)

    def buffer(self, size, source=None):
        """A buffer of so many bytes, copied from the address `source`; without one, all bits set,
        which is NaN in every data type."""
        buffer = self.opencl.create("clCreateBuffer", self.context, MEM_READ_WRITE, size, None)
        if source is None:
            ones = ctypes.c_uint8(0xFF)
            self.opencl.call("clEnqueueFillBuffer", self.handle, buffer, ctypes.byref(ones), 1, 0, size,
                             0, None, None)
            self.finish()
        else:
            self.opencl.call("clEnqueueWriteBuffer", self.handle, buffer, 1, 0, size, source, 0, None,
                             None)
        return buffer

    def read(self, buffer, offset, size):
        data = ctypes.create_string_buffer(size)
        self.opencl.call("clEnqueueReadBuffer", self.handle, buffer, 1, offset, size, data, 0, None, None)
        return data.raw

    def finish(self):
        self.opencl.call("clFinish", self.handle)

    def batch(self, enqueue, launches):
        """The device's seconds from the end of each launch to the end of the next, of so many and one
        more, which stand in the queue together. `enqueue(queue)` returns the event of a launch."""
        events = []
        try:
            for _ in range(launches + 1):
                events.append(enqueue(self.handle))
                self.opencl.call("clFlush", self.handle)
            self.finish()
            ends = [self.end_of(event) for event in events]
        finally:
            for event in events:
                self.opencl.call("clReleaseEvent", event)
        return [(end - before) * 1e-9 for before, end in zip(ends, ends[1:])]

    def end_of(self, event):
        """In nanoseconds of the device's clock. Raises if the launch failed."""
        status = ctypes.c_int32()
        self.opencl.call("clGetEventInfo", event, EVENT_EXECUTION_STATUS, ctypes.sizeof(status),
                         ctypes.byref(status), None)
        self.opencl.check("the attention kernel", status.value)
        end = ctypes.c_uint64()
        self.opencl.call("clGetEventProfilingInfo", event, PROFILING_COMMAND_END, ctypes.sizeof(end),
                         ctypes.byref(end), None)
        return end.value

    def release(self):
        self.opencl.call("clReleaseCommandQueue", self.handle)
