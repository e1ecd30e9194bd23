// A result file that is either complete or absent. Everything goes to a temporary file beside it,
// made at once so that an unwritable folder is known before the work starts; `commit` renames it
// into place, and a file destroyed before that leaves nothing behind. A path that exists but is no
// regular file (/dev/null, a pipe) is written directly, since a rename would replace it.
#pragma once

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>

namespace clattn::tool {

class OutputFile {
 public:
  // Throws Error (invalid_argument) if the file can't be made.
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Throws Error if the disk is full, and Interrupted.
  void write(std::span<const std::byte> bytes);
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;  // empty when the path is written directly or after commit
  std::FILE* file_ = nullptr;
};

}  // namespace clattn::tool
