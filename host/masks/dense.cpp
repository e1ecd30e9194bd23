// No mask: every query sees every key.
#include <clattn/mask.hpp>

namespace clattn {
namespace {

class Dense final : public MaskNode {
 public:
  bool allows(const Point&, const Extent&) const override { return true; }
  std::string expression(ExpressionWriter&) const override { return "1"; }
  Coverage classify(const Slice&, const Range&, const Range&, const Extent&) const override {
    return Coverage::all;
  }
  Range reach(const Slice&, const Range&, const Extent& extent) const override {
    return {0, extent.key_len};
  }
  std::string to_json() const override { return "{}"; }
};

}  // namespace

Mask dense_mask() { return std::make_shared<Dense>(); }

}  // namespace clattn
