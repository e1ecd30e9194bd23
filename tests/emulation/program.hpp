// A program of OpenCL C as a shared object of this process: translated (translate.py), compiled by
// the C++ compiler of the build, and loaded. What it was made of stays in its folder.
#pragma once

#include <filesystem>
#include <string>

#include "runtime/program.hpp"
#include "tests/emulation/instructions.hpp"

namespace clattn::emulation {

class Program {
 public:
  // Arguments: pointers to values or, for buffers, to what they hold.
  using Kernel = void (*)(void* const* arguments);

  // Throws std::runtime_error where a tool fails, which has printed why.
  Program(const ProgramRequest& request, const std::filesystem::path& folder);
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program();

  // Every instruction from now on goes there.
  void bind(Instructions& instructions) const;
  Kernel kernel(const std::string& name) const;

 private:
  template <typename Function>
  Function symbol(const std::string& name) const;

  void* library_ = nullptr;
};

}  // namespace clattn::emulation
