#include "host/planning/launch.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "host/invalid.hpp"
#include "host/planning/plan_state.hpp"
#include "runtime/status.hpp"

namespace clattn {

void set_argument(const Kernel& kernel, cl_uint index, std::size_t size, const void* value) {
  check(clSetKernelArg(kernel.get(), index, size, value), "clSetKernelArg");
}

void set_memory(const Kernel& kernel, cl_uint index, cl_mem memory) {
  set_argument(kernel, index, sizeof memory, &memory);
}

void set_memories(const Kernel& kernel, cl_uint first, std::span<const cl_mem> memories) {
  for (cl_mem memory : memories) set_memory(kernel, first++, memory);
}

Memory DeviceMemory::allocate(std::int64_t bytes, const void* content) {
  static const char nothing[16] = {};
  if (bytes == 0) {
    bytes = sizeof nothing;
    content = nothing;
  }
  cl_int status = CL_SUCCESS;
  auto memory = Memory::adopt(
      clCreateBuffer(context_, CL_MEM_READ_WRITE | (content ? CL_MEM_COPY_HOST_PTR : 0),
                     static_cast<std::size_t>(bytes), const_cast<void*>(content), &status));
  check(status, fmt::format("clCreateBuffer({} bytes)", bytes));
  bytes_ += bytes;
  return memory;
}

void check_queue(const Engine::State& engine, cl_command_queue queue) {
  if (!queue) invalid("the command queue is null");
  cl_context context = nullptr;
  cl_device_id device = nullptr;
  check(clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, nullptr),
        "clGetCommandQueueInfo");
  check(clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof device, &device, nullptr),
        "clGetCommandQueueInfo");
  if (context != engine.context.get()) {
    invalid("the command queue is of another OpenCL context than the engine");
  }
  if (device != engine.device.id) {
    invalid("the command queue is of another device than the engine's, {}",
            engine.device.facts.name);
  }
}

void check_view(cl_context context, const char* name, const TensorView& view, std::int64_t elements,
                std::size_t element_size) {
  if (elements == 0) return;
  if (!view.buffer) invalid("the {} buffer is null", name);
  cl_context owner = nullptr;
  std::size_t bytes = 0;
  check(clGetMemObjectInfo(view.buffer, CL_MEM_CONTEXT, sizeof owner, &owner, nullptr),
        "clGetMemObjectInfo");
  check(clGetMemObjectInfo(view.buffer, CL_MEM_SIZE, sizeof bytes, &bytes, nullptr),
        "clGetMemObjectInfo");
  if (owner != context) {
    invalid("the {} buffer is of another OpenCL context than the command queue", name);
  }
  if (view.offset < 0) invalid("the {} offset is {}, but must be 0 or more", name, view.offset);
  const std::size_t held = bytes / element_size;
  const auto offset = static_cast<std::size_t>(view.offset);
  if (offset > held) {
    invalid("the {} offset is {}, but the buffer has {} bytes, which is {} elements", name, offset,
            bytes, held);
  }
  const std::size_t needed = offset + static_cast<std::size_t>(elements);
  if (needed > held) {
    invalid("the {} buffer has {} bytes, but its offset and strides need {}", name, bytes,
            needed * element_size);
  }
}

void check_buffer(cl_context context, const char* name, cl_mem buffer, std::int64_t elements,
                  std::size_t element_size) {
  check_view(context, name, {buffer, 0}, elements, element_size);
}

void check_block_list_buffers(cl_context context, const Problem& problem,
                              const BlockListBuffers& lists) {
  const BlockShape& shape = *problem.blocks;
  const Extent extent = problem.extent();
  const std::int64_t slices = shape.batch * shape.heads;
  const std::int64_t rows = slices * shape.query_blocks(extent);
  const std::int64_t entries = rows * shape.row_capacity(extent);
  const auto check_list = [&](const char* name, cl_mem buffer, std::int64_t elements) {
    check_buffer(context, name, buffer, elements, sizeof(clattn_int32));
  };
  check_list("partial_count", lists.partial_count, rows);
  check_list("partial_index", lists.partial_index, entries);
  if (lists.full_count || lists.full_index) {
    check_list("full_count", lists.full_count, rows);
    check_list("full_index", lists.full_index, entries);
  }
  if (lists.key_lengths) {
    check_list("key_lengths", lists.key_lengths, slices * shape.key_blocks(extent));
  }
  if (lists.row_order) check_list("row_order", lists.row_order, rows);
}

HookMemory::HookMemory(const Hooks& hooks, DeviceMemory& memory) {
  slots_.push_back({memory.upload(hooks.tables), nullptr});
  for (const auto& buffer : hooks.buffers) {
    slots_.push_back(
        {buffer->bound_at_launch() ? Memory() : memory.upload(buffer->values), buffer});
  }
}

bool HookMemory::bound_at_launch() const {
  return std::any_of(slots_.begin(), slots_.end(), [](const Slot& slot) { return !slot.memory; });
}

std::vector<cl_mem> HookMemory::arguments(cl_context context,
                                          std::span<const NamedMemory> named) const {
  std::vector<cl_mem> result;
  for (const Slot& slot : slots_) {
    result.push_back(slot.memory.get());
    if (slot.memory) continue;
    const Buffer& buffer = *slot.buffer;
    const auto found = std::find_if(named.begin(), named.end(), [&](const NamedMemory& memory) {
      return memory.name == buffer.name;
    });
    if (found == named.end()) {
      invalid("the buffer \"{}\" is bound at launch, but this launch has none of that name",
              buffer.name);
    }
    check_buffer(context, buffer.name.c_str(), found->buffer, buffer.count, size_of(buffer.type));
    result.back() = found->buffer;
  }
  return result;
}

}  // namespace clattn
