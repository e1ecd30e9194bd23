// Says which work-item a fault of memory is of: kernels run in this process, and their tensors end
// where no page may be touched.
#pragma once

#include "tests/emulation/machine.hpp"

namespace clattn::emulation {

// As long as it lives, a fault prints the position of the machine's work-item and ends the process.
class FaultReport {
 public:
  explicit FaultReport(const Machine& machine);
  FaultReport(const FaultReport&) = delete;
  FaultReport& operator=(const FaultReport&) = delete;
  ~FaultReport();
};

}  // namespace clattn::emulation
