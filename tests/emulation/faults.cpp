#include "tests/emulation/faults.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace clattn::emulation {
namespace {

const Machine* watched;

void report(int, siginfo_t* fault, void*) {
  fmt::print("  error: a fault at address {}, behind {}\n", fault->si_addr, watched->position());
  watched->print_seed();
  std::fflush(stdout);
  std::_Exit(1);
}

void handle(void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action = {};
  if (handler) {
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  } else {
    action.sa_handler = SIG_DFL;
  }
  for (int signal : {SIGSEGV, SIGBUS}) sigaction(signal, &action, nullptr);
}

}  // namespace

FaultReport::FaultReport(const Machine& machine) {
  // A stack of its own, for the work-item's may be what overflows.
  static std::byte stack[64 << 10];
  stack_t alternative = {};
  alternative.ss_sp = stack;
  alternative.ss_size = sizeof stack;
  sigaltstack(&alternative, nullptr);
  watched = &machine;
  handle(report);
}

FaultReport::~FaultReport() { handle(nullptr); }

}  // namespace clattn::emulation
