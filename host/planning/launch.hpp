// What plans and block builders do alike: hold device memory, set kernel arguments, and refuse,
// before anything is launched, what a launch would read or write out of bounds.
#pragma once

#include <clattn/engine.hpp>
#include <clattn/handle.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "host/planning/hooks.hpp"

namespace clattn {

void set_argument(const Kernel& kernel, cl_uint index, std::size_t size, const void* value);
void set_memory(const Kernel& kernel, cl_uint index, cl_mem memory);
// Those from `first` on.
void set_memories(const Kernel& kernel, cl_uint first, std::span<const cl_mem> memories);

// Makes device memory and counts it.
class DeviceMemory {
 public:
  explicit DeviceMemory(cl_context context) : context_(context) {}

  // Of `bytes` bytes, a copy of `content` if there is any. Of no bytes: a few, for an OpenCL buffer
  // cannot be empty. Throws Error.
  Memory allocate(std::int64_t bytes, const void* content = nullptr);

  template <typename Element>
  Memory upload(const std::vector<Element>& elements) {
    return allocate(static_cast<std::int64_t>(elements.size() * sizeof(Element)), elements.data());
  }

  std::int64_t bytes() const { return bytes_; }

 private:
  cl_context context_;
  std::int64_t bytes_ = 0;
};

// Throw Error (invalid_argument). A view must hold `elements` elements behind its offset; a buffer
// so many from its beginning.
void check_queue(const Engine::State& engine, cl_command_queue queue);
void check_view(cl_context context, const char* name, const TensorView& view, std::int64_t elements,
                std::size_t element_size);
void check_buffer(cl_context context, const char* name, cl_mem buffer, std::int64_t elements,
                  std::size_t element_size);
void check_block_list_buffers(cl_context context, const Problem& problem,
                              const BlockListBuffers& lists);

// What hooks read, in device memory: the last arguments of each kernel that calls them.
class HookMemory {
 public:
  HookMemory() = default;
  HookMemory(const Hooks& hooks, DeviceMemory& memory);

  bool bound_at_launch() const;
  // The arguments in order, with those that are bound at launch found in `named`. Throws Error
  // (invalid_argument) if one is missing, too small or of another context.
  std::vector<cl_mem> arguments(cl_context context, std::span<const NamedMemory> named) const;

 private:
  struct Slot {
    Memory memory;                         // null: bound at launch
    std::shared_ptr<const Buffer> buffer;  // null: the tables
  };
  std::vector<Slot> slots_;
};

}  // namespace clattn
