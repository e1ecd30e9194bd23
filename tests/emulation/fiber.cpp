// A checking longjmp takes a jump to another stack for an error.
#undef _FORTIFY_SOURCE
#include "tests/emulation/fiber.hpp"

#include <sys/mman.h>
#include <ucontext.h>

#include <stdexcept>

namespace clattn::emulation {
namespace {

constexpr std::size_t kStackBytes = 256 << 10;
constexpr std::size_t kGuardBytes = 4096;  // below, so that an overflow is a fault

// makecontext passes nothing but ints.
void (*starting_body)();

void begin() { starting_body(); }

}  // namespace

Fiber::~Fiber() {
  if (stack_) munmap(stack_, kStackBytes);
}

void Fiber::start(void (*body)()) {
  if (!stack_) {
    stack_ = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack_ == MAP_FAILED || mprotect(stack_, kGuardBytes, PROT_NONE) != 0) {
      throw std::runtime_error("no memory for a stack");
    }
  }
  body_ = body;
  is_new_ = true;
}

void Fiber::resume() {
  if (_setjmp(outside_) != 0) return;
  if (!is_new_) _longjmp(inside_, 1);
  is_new_ = false;
  starting_body = body_;
  ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = stack_;
  context.uc_stack.ss_size = kStackBytes;
  context.uc_link = nullptr;
  makecontext(&context, begin, 0);
  setcontext(&context);
}

void Fiber::suspend() {
  if (_setjmp(inside_) == 0) _longjmp(outside_, 1);
}

}  // namespace clattn::emulation
