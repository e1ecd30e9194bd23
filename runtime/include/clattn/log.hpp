// The library never prints: what it has to say besides errors goes to the caller's log callback.
#pragma once

#include <functional>
#include <string>

namespace clattn {

enum class LogLevel { info, warning };

// May be called from any thread that uses the engine, also from several at once. Must not throw.
using LogCallback = std::function<void(LogLevel, const std::string&)>;

}  // namespace clattn
