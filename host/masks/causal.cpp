// Causal: no query sees a key behind its own position.
#include <clattn/mask.hpp>

#include "host/masks/band.hpp"

namespace clattn {
namespace {

class Causal final : public BandMask {
 public:
  explicit Causal(CausalAlign align)
      : BandMask(std::nullopt, 0, align == CausalAlign::bottom_right), align_(align) {}

  std::string to_json() const override {
    return align_ == CausalAlign::bottom_right ? R"({"causal":{"align":"bottom_right"}})"
                                               : R"({"causal":{"align":"top_left"}})";
  }

 private:
  CausalAlign align_;
};

}  // namespace

Mask causal_mask(CausalAlign align) { return std::make_shared<Causal>(align); }

}  // namespace clattn
