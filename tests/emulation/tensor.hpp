// A tensor of a problem as the emulated device holds it: elements with their strides behind an
// offset, and NaN in every gap between and in front of them; behind them the memory ends.
#pragma once

#include <clattn/problem.hpp>
#include <clattn/reference.hpp>
#include <cstdint>
#include <span>
#include <vector>

#include "tests/emulation/guarded_memory.hpp"
#include "tests/emulation/random.hpp"

namespace clattn::emulation {

class Tensor {
 public:
  Tensor(const Problem& problem, Role role, std::int64_t offset)
      : type_(problem.data_type),
        shape_(tensor_shape(problem, role)),
        offset_(offset),
        // Begins at a multiple of 16 bytes, so that the offset alone says how elements are aligned.
        memory_((offset + shape_.span()) * size_of(type_), 16) {}

  std::byte* data() const { return memory_.bytes().data(); }
  std::span<std::byte> memory() const { return memory_.bytes(); }
  std::span<const std::byte> elements() const {
    return memory().subspan(offset_ * size_of(type_), shape_.span() * size_of(type_));
  }
  double get(std::int64_t index) const { return load_element(type_, data(), index); }

  // Calls `body(index, batch, head, token, column)` in dense order.
  template <typename Body>
  void for_each(Body&& body) const {
    for (std::int64_t b = 0; b < shape_.batch; ++b) {
      for (std::int64_t h = 0; h < shape_.heads; ++h) {
        for (std::int64_t t = 0; t < shape_.length; ++t) {
          for (std::int64_t d = 0; d < shape_.dim; ++d) body(index(b, h, t, d), b, h, t, d);
        }
      }
    }
  }
  std::int64_t index(std::int64_t b, std::int64_t h, std::int64_t t, std::int64_t d) const {
    return offset_ + b * shape_.strides.batch + h * shape_.strides.head + t * shape_.strides.token +
           d;
  }
  void fill(Random& random) {
    for_each([&](std::int64_t i, auto...) { store_element(type_, random.normal(), data(), i); });
  }
  // Token t is that of `from` at places[t]; without places, the same.
  void fill(const Tensor& from, const std::vector<std::int32_t>& places) {
    for_each([&](std::int64_t i, std::int64_t b, std::int64_t h, std::int64_t t, std::int64_t d) {
      store_element(type_, from.get(from.index(b, h, place(places, t), d)), data(), i);
    });
  }
  static std::int64_t place(const std::vector<std::int32_t>& places, std::int64_t token) {
    return token < static_cast<std::int64_t>(places.size()) ? places[token] : token;
  }

  void poison() { memory_.poison(); }
  // Whether everything but the elements is still NaN.
  bool beside_is_poison() const {
    const std::span<const std::byte> bytes = memory();
    std::vector<bool> is_element(bytes.size() / size_of(type_));
    for_each([&](std::int64_t i, auto...) { is_element[i] = true; });
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (!is_element[i / size_of(type_)] && bytes[i] != std::byte{0xff}) return false;
    }
    return true;
  }

 private:
  DataType type_;
  TensorShape shape_;
  std::int64_t offset_;
  GuardedMemory memory_;
};

}  // namespace clattn::emulation
