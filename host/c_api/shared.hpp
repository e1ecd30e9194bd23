// What every entry of the C API is made of: the objects behind its handles and behind the `owned`
// of its structs, the one place where exceptions become statuses, and the checks of what callers
// pass. A body that can fail runs inside `guarded` and writes its results last, so that a failed
// call changes nothing.
#pragma once

#include <clattn/clattn.h>

#include <atomic>
#include <clattn/block_builder.hpp>
#include <clattn/engine.hpp>
#include <clattn/permutation.hpp>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "host/invalid.hpp"
#include "host/planning/parameters.hpp"

namespace clattn::c_api {

// A counted reference to a C++ object, which starts with the creator's one reference.
template <typename Object>
struct Shared {
  explicit Shared(Object value) : object(std::move(value)) {}
  std::atomic<std::int64_t> references{1};
  Object object;
};

}  // namespace clattn::c_api

struct clattn_mask : clattn::c_api::Shared<clattn::Mask> {
  using Shared::Shared;
};

struct clattn_score : clattn::c_api::Shared<clattn::Score> {
  using Shared::Shared;
};

struct clattn_engine : clattn::c_api::Shared<clattn::Engine> {
  using Shared::Shared;
};

struct clattn_block_builder : clattn::c_api::Shared<clattn::BlockBuilder> {
  using Shared::Shared;
};

struct clattn_token_permutation : clattn::c_api::Shared<clattn::TokenPermutation> {
  using Shared::Shared;
};

struct clattn_plan : clattn::c_api::Shared<clattn::Plan> {
  using Shared::Shared;
  // Made on demand; owns the texts and arrays that clattn_plan_get_report lends.
  const clattn::PlanReport& report() const {
    std::call_once(once_, [this] {
      report_ = object.report();
      parameters_ = clattn::to_string(report_.parameters);
      for (const std::string& text : report_.rejected) rejected_.push_back(text.c_str());
      for (const clattn::Tiling& tiling : report_.tilings) {
        tilings_.push_back({tiling.query_tile.data(), tiling.query_tile.size(),
                            tiling.key_tile.data(), tiling.key_tile.size(), tiling.bound,
                            tiling.masked_share, tiling.permutation_bytes, tiling.cost_flops,
                            static_cast<std::int32_t>(tiling.tokens)});
      }
    });
    return report_;
  }
  // Of the report.
  const std::string& parameters() const { return parameters_; }
  const std::vector<const char*>& rejected() const { return rejected_; }
  const std::vector<clattn_tiling>& tilings() const { return tilings_; }

 private:
  mutable std::once_flag once_;
  mutable clattn::PlanReport report_;
  mutable std::string parameters_;
  mutable std::vector<const char*> rejected_;
  mutable std::vector<clattn_tiling> tilings_;
};

namespace clattn::c_api {

// ---- Failures

// Keeps the exception that is being handled as the thread's last error and returns its status.
clattn_status fail() noexcept;

template <typename Body>
clattn_status guarded(Body&& body) noexcept {
  try {
    body();
    return CLATTN_STATUS_SUCCESS;
  } catch (...) {
    return fail();
  }
}

inline void require(const void* pointer, const char* name) {
  if (!pointer) invalid("{} is null", name);
}

inline void check_size(std::size_t size, std::size_t expected, const char* type) {
  if (size == expected) return;
  invalid("struct_size {} is not that of {} in clattn {}, {}", size, type, clattn_version_string(),
          expected);
}

// A struct that the caller made, wherever null is not allowed.
template <typename Struct>
void require_struct(const Struct* pointer, const char* name, const char* type) {
  require(pointer, name);
  check_size(pointer->struct_size, sizeof(Struct), type);
}

// An array of the caller's.
template <typename Element>
std::span<Element> read_array(Element* elements, std::size_t count, const char* name) {
  if (!elements && count) invalid("{} is null, but there should be {}", name, count);
  return {elements, count};
}

template <typename Element>
std::vector<Element> copy_array(const Element* elements, std::size_t count, const char* name) {
  const auto source = read_array(elements, count, name);
  return {source.begin(), source.end()};
}

// Enumerators have the same values on both sides, as asserted where the C++ ones are known, so that
// a range check converts.
template <typename Enum>
Enum to_enum(std::int32_t value, Enum last, const char* name) {
  if (value < 0 || value > static_cast<std::int32_t>(last)) {
    invalid("{} {} is unknown; known are 0 to {}", name, value, static_cast<std::int32_t>(last));
  }
  return static_cast<Enum>(value);
}

template <typename Enum>
constexpr bool same(Enum ours, std::int32_t theirs) {
  return static_cast<std::int32_t>(ours) == theirs;
}

// ---- Results

inline char* duplicate(const std::string& text) {
  char* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (!copy) throw std::bad_alloc();
  std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

template <typename Struct>
clattn_status init(Struct* pointer, std::size_t struct_size, const char* name, const char* type,
                   const Struct& defaults) {
  return guarded([&] {
    require(pointer, name);
    check_size(struct_size, sizeof(Struct), type);
    *pointer = defaults;
    pointer->struct_size = struct_size;
  });
}

// Makes the object behind a handle with the one reference that the caller gets.
template <typename Handle, typename Make>
clattn_status create(Handle** handle, const char* name, Make&& make) {
  return guarded([&] {
    require(handle, name);
    *handle = new Handle(make());
  });
}

template <typename Handle>
clattn_status retain(Handle* handle, const char* name) {
  return guarded([&] {
    require(handle, name);
    handle->references.fetch_add(1, std::memory_order_relaxed);
  });
}

template <typename Handle>
void release(Handle* handle) {
  if (handle && handle->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete handle;
}

}  // namespace clattn::c_api
