// One device at work for the tool: an engine and an in-order queue that times what runs on it.
#pragma once

#include <clattn/engine.hpp>
#include <string>

#include "host/trial/device_tensors.hpp"

namespace clattn::tool {

// An engine on the device that the selector picks, whose warnings go to stderr. Unless `tuned`, its
// plans ask no tuning store.
Engine make_engine(const std::string& selector, bool tuned = true);

class Launcher {
 public:
  explicit Launcher(const std::string& selector);

  const Engine& engine() const { return engine_; }
  cl_command_queue queue() const { return queue_.get(); }

 private:
  Engine engine_;
  Queue queue_;
};

// Throws Error (device_failure) that names the call unless `code` is CL_SUCCESS.
void check_opencl(cl_int code, const char* call);

}  // namespace clattn::tool
