// clattn tune verify.
#pragma once

#include "command.hpp"

namespace clattn::tool {

Command add_tune_verify(CLI::App& tune);

}  // namespace clattn::tool
