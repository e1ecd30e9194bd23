// A function that runs on a stack of its own and hands control back in the middle: a work-item.
// It starts through ucontext and then jumps, for ucontext's own switches call the kernel each time.
#pragma once

#include <setjmp.h>

#include <cstddef>

namespace clattn::emulation {

class Fiber {
 public:
  Fiber() = default;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  // Prepares a call that must not return.
  void start(void (*body)());
  // Runs it until it suspends itself.
  void resume();
  // Within it: back to who resumed it.
  void suspend();

 private:
  void* stack_ = nullptr;
  void (*body_)() = nullptr;
  bool is_new_ = false;
  jmp_buf inside_, outside_;
};

}  // namespace clattn::emulation
