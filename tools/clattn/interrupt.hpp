// Ctrl-C. The signal handler only sets a flag; long loops poll it and unwind, so that destructors
// remove whatever is half-written. A second signal ends the process the system's way.
#pragma once

namespace clattn::tool {

struct Interrupted {
  int signal;
};

// Installs the handler for SIGINT and SIGTERM.
void catch_interrupts();
bool interrupted();
// Throws Interrupted.
void throw_if_interrupted();

}  // namespace clattn::tool
