#include "tests/emulation/program.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace clattn::emulation {
namespace {

// Names of files hold no quotes: these are of the build.
std::string quoted(const std::filesystem::path& path) { return fmt::format("'{}'", path.string()); }

void run(const std::string& command) {
  if (std::system(command.c_str()) != 0) throw std::runtime_error("failed: " + command);
}

}  // namespace

Program::Program(const ProgramRequest& request, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const auto source = folder / "program.cl", text = folder / "program.cpp";
  const auto library = folder / "program.so";
  std::ofstream file(source, std::ios::binary);
  file << source_of(request);
  file.close();
  if (!file) throw std::runtime_error("cannot write " + source.string());

  const std::filesystem::path sources = CLATTN_SOURCE_DIR;
  // So that the kernels know that they are OpenCL's; the numbers are the program's.
  std::string defines = "-D__OPENCL_VERSION__=120";
  for (const auto& [name, value] : request.defines) defines += fmt::format(" -D{}={}", name, value);
  run(fmt::format("{} {} {} {} {} {}", quoted(CLATTN_PYTHON),
                  quoted(sources / "tests/emulation/translate.py"), quoted(source), quoted(text),
                  quoted(CLATTN_CXX_COMPILER), defines));
  // As OpenCL compilers do, the kernels' own warnings are turned off: that they alias is theirs.
  run(fmt::format(
      "{} -std=c++20 -O1 -w -Wno-psabi -fno-strict-aliasing -Wno-narrowing -fPIC -shared -I{} {} "
      "-o {}",
      quoted(CLATTN_CXX_COMPILER), quoted(sources), quoted(text), quoted(library)));
  library_ = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library_) throw std::runtime_error(dlerror());
}

Program::~Program() {
  if (library_) dlclose(library_);
}

template <typename Function>
Function Program::symbol(const std::string& name) const {
  void* found = dlsym(library_, name.c_str());
  if (!found) throw std::runtime_error("the program has no " + name);
  return reinterpret_cast<Function>(found);
}

void Program::bind(Instructions& instructions) const {
  symbol<void (*)(Instructions*)>("bind_instructions")(&instructions);
}

Program::Kernel Program::kernel(const std::string& name) const {
  return symbol<Kernel>("launch_" + name);
}

}  // namespace clattn::emulation
