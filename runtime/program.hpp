// Builds OpenCL programs from the kernel files and keeps them: in memory for the life of the store,
// and on disk for later processes. A program's identity is everything that can change its binary:
// source, options, patch, device name, driver, device version and platform version. A program with
// a patch is built twice, from source and from the patched text of the first build; the cache on
// disk holds the patched text, so that later processes build once.
#pragma once

#include <clattn/device.hpp>
#include <clattn/handle.hpp>
#include <clattn/log.hpp>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/cache.hpp"
#include "runtime/patch.hpp"

namespace clattn {

struct SourceFile {
  std::string name;
  std::string text;
};

// A file of kernels_cl, by its path below that folder: as embedded at build time, or from the
// folder that the environment variable CLATTN_KERNEL_PATH names. Throws Error if there is no such
// file.
SourceFile kernel_file(std::string_view name);

struct ProgramRequest {
  std::string label;  // kernel and configuration, for errors
  std::vector<SourceFile> files;
  std::vector<std::pair<std::string, std::int64_t>> defines;
  std::optional<ProgramPatch> patch = {};  // of the built program's text
};

// What a program is built from, before any patch. Pure.
std::string source_of(const ProgramRequest& request);
std::string options_of(const ProgramRequest& request);

class ProgramStore {
 public:
  ProgramStore(Context context, Device device, std::filesystem::path folder, LogCallback log);

  // Thread-safe. Throws Error (build_failure) that carries the label, the device, the driver, the
  // options and the whole log; for a patch that can't be applied, too.
  Program get(const ProgramRequest& request);

 private:
  Program build_from_source(const ProgramRequest& request, const std::string& source,
                            const std::string& options) const;
  Program build_patched(const ProgramRequest& request, const std::string& binary) const;
  Program build_from_binary(const std::string& binary, cl_int& status) const;
  std::string binary_of(cl_program program) const;

  Context context_;
  Device device_;
  DiskCache disk_;
  std::mutex mutex_;
  std::map<CacheKey, Program> programs_;
};

// The kernel `name` of `program`. Throws Error.
Kernel make_kernel(const Program& program, const char* name);

}  // namespace clattn
