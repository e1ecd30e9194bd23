// Buffers and names that the tests of users' expressions share.
#pragma once

#include <clattn/expression.hpp>

#include "tests/support.hpp"

namespace clattn::test {

template <typename Element>
std::shared_ptr<const Buffer> make_buffer(const char* name, ElementType type,
                                          const std::vector<Element>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return std::make_shared<const Buffer>(
      Buffer{name, type, std::ssize(values), {bytes.begin(), bytes.end()}});
}

constexpr int kCount = 24;  // of the elements of each buffer

struct Names {
  std::vector<std::uint8_t> bytes;
  std::vector<std::int32_t> numbers;
  std::vector<float> reals;
  std::int32_t whole = 7;
  float part = 0.375f;

  explicit Names(Random& random) {
    for (int i = 0; i < kCount; ++i) {
      bytes.push_back(static_cast<std::uint8_t>(uniform(random, 0, 255)));
      numbers.push_back(static_cast<std::int32_t>(uniform(random, -20, 20)));
      reals.push_back(static_cast<float>(uniform(random, -64, 64)) / 16);
    }
  }
  Expression expression(const std::string& text) const {
    return {text,
            {make_buffer("bytes", ElementType::u8, bytes),
             make_buffer("numbers", ElementType::i32, numbers),
             make_buffer("reals", ElementType::f32, reals)},
            {{"whole", whole}, {"part", part}}};
  }
};

}  // namespace clattn::test
