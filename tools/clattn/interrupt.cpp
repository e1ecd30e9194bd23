#include "interrupt.hpp"

#include <csignal>

namespace clattn::tool {
namespace {

volatile std::sig_atomic_t received_signal = 0;

extern "C" void remember_signal(int signal) { received_signal = signal; }

}  // namespace

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = remember_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return received_signal != 0; }

void throw_if_interrupted() {
  if (interrupted()) throw Interrupted{received_signal};
}

}  // namespace clattn::tool
