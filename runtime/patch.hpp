// What a vendor's front-end does not take, though the assembler behind it would: instructions that
// the source hides in comments of the inline assembly, and other words for the target. A patch
// turns the textual binary of a built program into one that says them.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace clattn {

struct ProgramPatch {
  std::string marker;  // removed wherever it stands: what follows on its line is a comment no more
  std::vector<std::pair<std::string, std::string>> replacements;  // each must occur, anywhere
};

// Pure. Keeps the NULs that drivers put behind the text. Throws Error (build_failure) where the
// binary is not text, and where the marker or something to be replaced does not occur.
std::string patched(const std::string& binary, const ProgramPatch& patch);

}  // namespace clattn
