// Sliding window: a query sees the keys from `left` before its own position to `right` behind it.
#include <fmt/format.h>

#include <clattn/mask.hpp>

#include "host/invalid.hpp"
#include "host/masks/band.hpp"

namespace clattn {
namespace {

class Window final : public BandMask {
 public:
  Window(std::optional<std::int64_t> left, std::optional<std::int64_t> right)
      : BandMask(left ? std::optional(-*left) : left, right, true), left_(left), right_(right) {}

  std::string to_json() const override {
    const auto end = [](const char* name, const std::optional<std::int64_t>& value) {
      return value ? fmt::format("\"{}\":{}", name, *value) : fmt::format("\"{}\":null", name);
    };
    return fmt::format("{{\"window\":{{{},{}}}}}", end("left", left_), end("right", right_));
  }

 private:
  std::optional<std::int64_t> left_;
  std::optional<std::int64_t> right_;
};

}  // namespace

Mask window_mask(std::optional<std::int64_t> left, std::optional<std::int64_t> right) {
  for (const auto& [name, end] : {std::pair("left", left), std::pair("right", right)}) {
    if (end && *end < 0) {
      invalid("window {} is {}, but must be 0 or more", name, *end);
    }
  }
  return std::make_shared<Window>(left, right);
}

}  // namespace clattn
