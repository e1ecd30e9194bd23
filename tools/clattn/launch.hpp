// One device at work for the tool: an engine, an in-order queue that times what runs on it, and
// copies of a problem's tensors in device buffers.
#pragma once

#include <clattn/engine.hpp>
#include <string>

#include "tensors.hpp"

namespace clattn::tool {

class Launcher {
 public:
  // On the device that the selector picks; warnings of the library go to stderr.
  explicit Launcher(const std::string& selector);

  const Engine& engine() const { return engine_; }
  cl_command_queue queue() const { return queue_.get(); }

 private:
  Engine engine_;
  Queue queue_;
};

class DeviceTensors {
 public:
  DeviceTensors(const Launcher& launcher, const HostInputs& inputs, const HostResult& result);

  // Runs the plan to its end and returns the seconds that the device gives from the start of its
  // first command to the end of its last; with block lists, if the problem has blocks.
  double run(const Plan& plan, const BlockListBuffers& lists = {}) const;
  void read(HostResult& result) const;

 private:
  TensorView upload(const HostTensor& tensor, Memory& buffer) const;

  cl_context context_;
  cl_command_queue queue_;
  Memory query_, key_, value_, output_, lse_;
  Tensors tensors_;
};

// Throws Error (device_failure) that names the call unless `code` is CL_SUCCESS.
void check_opencl(cl_int code, const char* call);

}  // namespace clattn::tool
