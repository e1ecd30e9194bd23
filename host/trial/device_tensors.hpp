// Copies of a problem's tensors in device buffers, and plans run over them, one launch at a time,
// timed by the device.
#pragma once

#include <clattn/engine.hpp>

#include "host/trial/tensors.hpp"

namespace clattn {

class DeviceTensors {
 public:
  // `queue` must have CL_QUEUE_PROFILING_ENABLE, and outlive the tensors.
  DeviceTensors(const Engine& engine, cl_command_queue queue, const HostInputs& inputs,
                const HostResult& result);

  // Runs the plan to its end and returns the seconds that the device gives from the start of its
  // first command to the end of its last; with block lists, if the problem has blocks.
  double run(const Plan& plan, const BlockListBuffers& lists = {}) const;
  void read(HostResult& result) const;
  // Makes the outputs those of `result` again.
  void write(const HostResult& result) const;

 private:
  TensorView upload(const HostTensor& tensor, Memory& buffer) const;

  cl_context context_;
  cl_command_queue queue_;
  Memory query_, key_, value_, output_, lse_;
  Tensors tensors_;
};

// Writes a buffer larger than the caches, so that a run finds none of its tensors in them.
class CacheFlush {
 public:
  CacheFlush(const Engine& engine, cl_command_queue queue);
  void operator()() const;

 private:
  cl_command_queue queue_;
  std::size_t bytes_ = 0;
  Memory buffer_;
};

}  // namespace clattn
