#include "runtime/patch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <clattn/error.hpp>
#include <string_view>

namespace clattn {
namespace {

// A driver's text is UTF-8 at most: control characters other than white space mean machine code.
bool is_control(unsigned char byte) {
  return byte == 127 || (byte < 32 && (byte < 9 || byte > 13));
}

// What was put in is not searched again.
std::string replaced(std::string_view text, const std::string& from, const std::string& to) {
  std::string result;
  std::size_t begin = 0, found = 0;
  while (!from.empty() && (found = text.find(from, begin)) != text.npos) {
    result.append(text, begin, found - begin).append(to);
    begin = found + from.size();
  }
  if (begin == 0) {
    throw Error(
        ErrorCategory::build_failure,
        fmt::format("the {} bytes of the built program's text have no \"{}\"", text.size(), from));
  }
  return result.append(text, begin);
}

}  // namespace

std::string patched(const std::string& binary, const ProgramPatch& patch) {
  const std::size_t length = binary.find_last_not_of('\0') + 1;
  std::string text = binary.substr(0, length);
  const auto control = std::find_if(text.begin(), text.end(), is_control);
  if (text.empty() || control != text.end()) {
    throw Error(ErrorCategory::build_failure,
                text.empty() ? "the device gives no binary of the built program"
                             : fmt::format("the built program's binary is not text: byte {} of {} "
                                           "is {}",
                                           control - text.begin(), binary.size(),
                                           static_cast<unsigned char>(*control)));
  }
  text = replaced(text, patch.marker, "");
  for (const auto& [from, to] : patch.replacements) text = replaced(text, from, to);
  return text.append(binary, length);
}

}  // namespace clattn
