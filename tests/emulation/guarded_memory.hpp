// Memory between two pages that may not be touched, as close to the one behind it as its alignment
// lets it be: an access past its end is a fault, not a number. It is filled with NaN (0xff).
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstring>
#include <span>
#include <stdexcept>
#include <utility>

namespace clattn::emulation {

class GuardedMemory {
 public:
  GuardedMemory() = default;
  explicit GuardedMemory(std::size_t size, std::size_t alignment = 32) {
    constexpr std::size_t kPage = 4096;
    const std::size_t aligned = (size + alignment - 1) / alignment * alignment;
    const std::size_t inside = (aligned + kPage - 1) / kPage * kPage;
    mapped_ = inside + 2 * kPage;
    void* begin = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (begin == MAP_FAILED) throw std::runtime_error("no memory for a guarded buffer");
    mapping_ = static_cast<std::byte*>(begin);
    if (inside > 0 && mprotect(mapping_ + kPage, inside, PROT_READ | PROT_WRITE) != 0) {
      throw std::runtime_error("a guarded buffer cannot be opened");
    }
    bytes_ = {mapping_ + kPage + inside - aligned, size};
    poison();
  }
  GuardedMemory(GuardedMemory&& other) noexcept { swap(other); }
  GuardedMemory& operator=(GuardedMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  ~GuardedMemory() {
    if (mapping_) munmap(mapping_, mapped_);
  }

  std::span<std::byte> bytes() const { return bytes_; }
  void poison() {
    if (!bytes_.empty()) std::memset(bytes_.data(), 0xff, bytes_.size());
  }

 private:
  void swap(GuardedMemory& other) {
    std::swap(mapping_, other.mapping_);
    std::swap(mapped_, other.mapped_);
    std::swap(bytes_, other.bytes_);
  }

  std::byte* mapping_ = nullptr;
  std::size_t mapped_ = 0;
  std::span<std::byte> bytes_;
};

}  // namespace clattn::emulation
