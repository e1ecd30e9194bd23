// Reference-counted OpenCL objects. A Handle owns one reference: copying retains, destroying
// releases. `Handle::retain` adds a reference to somebody else's object, `Handle::adopt` takes over
// the reference that an OpenCL call returned. As thread-safe as the OpenCL reference count itself:
// distinct Handles may be used from distinct threads, one Handle may not be changed from two.
#pragma once

#include <CL/cl.h>

#include <utility>

namespace clattn {

template <typename Object>
struct HandleTraits;

#define CLATTN_HANDLE_TRAITS(Object, Suffix)                          \
  template <>                                                         \
  struct HandleTraits<Object> {                                       \
    static void retain(Object object) { clRetain##Suffix(object); }   \
    static void release(Object object) { clRelease##Suffix(object); } \
  };
CLATTN_HANDLE_TRAITS(cl_context, Context)
CLATTN_HANDLE_TRAITS(cl_command_queue, CommandQueue)
CLATTN_HANDLE_TRAITS(cl_mem, MemObject)
CLATTN_HANDLE_TRAITS(cl_program, Program)
CLATTN_HANDLE_TRAITS(cl_kernel, Kernel)
CLATTN_HANDLE_TRAITS(cl_event, Event)
#undef CLATTN_HANDLE_TRAITS

template <typename Object>
class Handle {
 public:
  Handle() = default;
  static Handle adopt(Object object) { return Handle(object); }
  static Handle retain(Object object) {
    if (object) HandleTraits<Object>::retain(object);
    return Handle(object);
  }
  Handle(const Handle& other) : Handle(retain(other.object_)) {}
  Handle(Handle&& other) noexcept : object_(other.release()) {}
  Handle& operator=(Handle other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Handle() {
    if (object_) HandleTraits<Object>::release(object_);
  }

  Object get() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  // Gives the reference up to the caller.
  Object release() noexcept { return std::exchange(object_, nullptr); }

 private:
  explicit Handle(Object object) : object_(object) {}
  Object object_ = nullptr;
};

using Context = Handle<cl_context>;
using Queue = Handle<cl_command_queue>;
using Memory = Handle<cl_mem>;
using Program = Handle<cl_program>;
using Kernel = Handle<cl_kernel>;
using Event = Handle<cl_event>;

}  // namespace clattn
