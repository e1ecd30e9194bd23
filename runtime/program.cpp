#include "runtime/program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <clattn/error.hpp>
#include <cstdlib>
#include <fstream>

#include "runtime/embedded_sources.hpp"
#include "runtime/status.hpp"

namespace clattn {
namespace {

std::string build_log(cl_program program, cl_device_id device) {
  std::size_t size = 0;
  if (clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, nullptr, &size)) return "";
  std::string log(size, '\0');
  clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, size, log.data(), nullptr);
  while (!log.empty() && (log.back() == '\0' || log.back() == '\n')) log.pop_back();
  return log;
}

// Where each file begins in the source, for compilers that don't heed #line (NVIDIA's).
std::string lines_of(const ProgramRequest& request) {
  std::string text;
  std::int64_t line = 1;
  for (const SourceFile& file : request.files) {
    text += fmt::format("{}{} from line {}", text.empty() ? "" : ", ", file.name, line);
    line += 2 + std::count(file.text.begin(), file.text.end(), '\n');
  }
  return text;
}

std::string patched_text(const ProgramRequest& request, const DeviceFacts& facts,
                         const std::string& binary) {
  try {
    return patched(binary, *request.patch);
  } catch (const Error& error) {
    throw Error(error.category(),
                fmt::format("patching {} failed on device {}, driver {}: {}", request.label,
                            facts.name, facts.driver_version, error.what()));
  }
}

}  // namespace

// #line makes the compiler name the file that a message is about.
std::string source_of(const ProgramRequest& request) {
  std::string source;
  for (const SourceFile& file : request.files) {
    source += fmt::format("#line 1 \"{}\"\n{}\n", file.name, file.text);
  }
  return source;
}

std::string options_of(const ProgramRequest& request) {
  // Expressions of users may say 0.5 for 0.5f. PoCL prints how many warnings there were: none.
  std::string options = "-cl-std=CL1.2 -cl-single-precision-constant -w";
  for (const auto& [name, value] : request.defines) options += fmt::format(" -D{}={}", name, value);
  return options;
}

SourceFile kernel_file(std::string_view name) {
  if (const char* folder = std::getenv("CLATTN_KERNEL_PATH"); folder && *folder) {
    const std::filesystem::path path = std::filesystem::path(folder) / name;
    std::ifstream file(path, std::ios::binary);
    if (!file || std::filesystem::is_directory(path)) {
      throw Error(ErrorCategory::invalid_argument,
                  fmt::format("CLATTN_KERNEL_PATH: cannot read {}", path.string()));
    }
    return {std::string(name), std::string(std::istreambuf_iterator<char>(file), {})};
  }
  for (const EmbeddedSource& source : embedded_sources()) {
    if (source.name == name) return {std::string(name), std::string(source.text)};
  }
  throw Error(ErrorCategory::unsupported, fmt::format("no kernel file {} is built in", name));
}

ProgramStore::ProgramStore(Context context, Device device, std::filesystem::path folder,
                           LogCallback log)
    : context_(std::move(context)),
      device_(std::move(device)),
      disk_(std::move(folder), std::move(log)) {}

Program ProgramStore::get(const ProgramRequest& request) {
  const std::string source = source_of(request);
  const std::string options = options_of(request);
  const DeviceFacts& facts = device_.facts;
  std::vector<std::string> parts = {source,
                                    options,
                                    facts.platform,
                                    facts.platform_version,
                                    facts.name,
                                    facts.device_version,
                                    facts.driver_version};
  if (request.patch) {
    parts.push_back(request.patch->marker);
    for (const auto& [from, to] : request.patch->replacements) {
      parts.insert(parts.end(), {from, to});
    }
  }
  std::string identity;
  for (const std::string& part : parts) identity += fmt::format("{}:{}", part.size(), part);
  const CacheKey key = cache_key(identity);
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = programs_.find(key); found != programs_.end()) return found->second;
  }
  // Built outside the lock: two threads may build the same program, and the first one in is kept.
  Program program;
  if (const auto binary = disk_.load(key)) {
    cl_int status = CL_SUCCESS;
    program = build_from_binary(*binary, status);
    if (status != CL_SUCCESS) program = {};  // then from source
  }
  if (!program) {
    program = build_from_source(request, source, options);
    std::string binary;
    try {
      if (disk_.enabled() || request.patch) binary = binary_of(program.get());
    } catch (const Error&) {
      // A driver that gives no binary costs later processes a build, but this one nothing, unless
      // there is something to patch: then the empty text is refused.
    }
    if (request.patch) {
      binary = patched_text(request, facts, binary);
      program = build_patched(request, binary);
    }
    if (disk_.enabled() && !binary.empty()) disk_.store(key, binary);
  }
  const std::lock_guard lock(mutex_);
  return programs_.emplace(key, std::move(program)).first->second;
}

Program ProgramStore::build_from_source(const ProgramRequest& request, const std::string& source,
                                        const std::string& options) const {
  const DeviceFacts& facts = device_.facts;
  if (!facts.compiler) {
    throw Error(ErrorCategory::unsupported,
                fmt::format("device {} has no OpenCL C compiler", facts.name));
  }
  const char* text = source.c_str();
  cl_int status = CL_SUCCESS;
  auto program =
      Program::adopt(clCreateProgramWithSource(context_.get(), 1, &text, nullptr, &status));
  check(status, "clCreateProgramWithSource");
  status = clBuildProgram(program.get(), 1, &device_.id, options.c_str(), nullptr, nullptr);
  if (status != CL_SUCCESS) {
    throw Error(
        ErrorCategory::build_failure,
        fmt::format("building {} failed with {} on device {}, driver {}, options {}, source "
                    "{}\n{}",
                    request.label, status_name(status), facts.name, facts.driver_version, options,
                    lines_of(request), build_log(program.get(), device_.id)));
  }
  return program;
}

Program ProgramStore::build_patched(const ProgramRequest& request,
                                    const std::string& binary) const {
  cl_int status = CL_SUCCESS;
  Program program = build_from_binary(binary, status);
  if (status != CL_SUCCESS) {
    throw Error(ErrorCategory::build_failure,
                fmt::format("building {}, patched, failed with {} on device {}, driver {}\n{}",
                            request.label, status_name(status), device_.facts.name,
                            device_.facts.driver_version, build_log(program.get(), device_.id)));
  }
  return program;
}

// `status` is that of the first step that failed, and the program then has a log at most.
Program ProgramStore::build_from_binary(const std::string& binary, cl_int& status) const {
  const auto* bytes = reinterpret_cast<const unsigned char*>(binary.data());
  const std::size_t size = binary.size();
  auto program = Program::adopt(
      clCreateProgramWithBinary(context_.get(), 1, &device_.id, &size, &bytes, nullptr, &status));
  if (status == CL_SUCCESS) {
    status = clBuildProgram(program.get(), 1, &device_.id, "", nullptr, nullptr);
  }
  return program;
}

// Empty where the device gives none. A context of several devices lists one binary for each.
std::string ProgramStore::binary_of(cl_program program) const {
  cl_uint count = 0;
  check(clGetProgramInfo(program, CL_PROGRAM_NUM_DEVICES, sizeof count, &count, nullptr),
        "clGetProgramInfo");
  std::vector<cl_device_id> devices(count);
  std::vector<std::size_t> sizes(count);
  check(clGetProgramInfo(program, CL_PROGRAM_DEVICES, count * sizeof devices[0], devices.data(),
                         nullptr),
        "clGetProgramInfo");
  check(clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, count * sizeof sizes[0], sizes.data(),
                         nullptr),
        "clGetProgramInfo");
  const auto found = std::find(devices.begin(), devices.end(), device_.id);
  if (found == devices.end()) return "";
  const auto index = static_cast<std::size_t>(found - devices.begin());
  std::string binary(sizes[index], '\0');
  std::vector<unsigned char*> pointers(count, nullptr);
  pointers[index] = reinterpret_cast<unsigned char*>(binary.data());
  check(clGetProgramInfo(program, CL_PROGRAM_BINARIES, count * sizeof pointers[0], pointers.data(),
                         nullptr),
        "clGetProgramInfo");
  return binary;
}

Kernel make_kernel(const Program& program, const char* name) {
  cl_int status = CL_SUCCESS;
  auto kernel = Kernel::adopt(clCreateKernel(program.get(), name, &status));
  check(status, fmt::format("clCreateKernel({})", name));
  return kernel;
}

}  // namespace clattn
