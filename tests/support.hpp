// What the tests share: folders that vanish, a seeded generator, errors held to their category and
// words, the devices of this machine, and random masks. Device tests walk `targets()`, so that each
// OpenCL device runs every kernel family that takes it; without a device they skip, visibly.
#pragma once

#include <gtest/gtest.h>

#include <clattn/engine.hpp>
#include <clattn/error.hpp>
#include <clattn/log.hpp>
#include <clattn/mask.hpp>
#include <clattn/reference.hpp>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iostream>
#include <limits>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace clattn::test {

// A new empty folder, removed with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "clattn-test-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("cannot make " + name);
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// Sets an environment variable until the end of the scope.
class ScopedEnvironment {
 public:
  ScopedEnvironment(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    ::setenv(name, value.c_str(), 1);
  }
  ScopedEnvironment(const ScopedEnvironment&) = delete;
  ScopedEnvironment& operator=(const ScopedEnvironment&) = delete;
  ~ScopedEnvironment() {
    if (old_) {
      ::setenv(name_, old_->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

using Random = std::mt19937_64;

// CLATTN_TEST_SEED repeats a run with another seed; the seed used is always printed.
inline Random make_random() {
  const char* given = std::getenv("CLATTN_TEST_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 0) : 20240613;
  std::cout << "CLATTN_TEST_SEED=" << seed << '\n';
  return Random(seed);
}

inline std::int64_t uniform(Random& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

// `body` must throw an Error of `category` whose message holds every one of `parts`.
template <typename Body>
void expect_error(ErrorCategory category, const std::vector<std::string>& parts, Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_STREQ(to_string(error.category()), to_string(category)) << error.what();
    for (const std::string& part : parts) {
      EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos)
          << "no '" << part << "' in: " << error.what();
    }
    return;
  }
  ADD_FAILURE() << "no error was thrown";
}

// Keeps what the library logs. Thread-safe; must outlive the engine that it listens to.
class LogRecorder {
 public:
  LogCallback callback() {
    return [this](LogLevel level, const std::string& message) {
      const std::lock_guard lock(mutex_);
      if (level == LogLevel::warning) warnings_.push_back(message);
    };
  }
  std::vector<std::string> warnings() const {
    const std::lock_guard lock(mutex_);
    return warnings_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> warnings_;
};

// All devices; none where the machine has no OpenCL platform.
inline std::vector<Device> devices() {
  try {
    return list_devices();
  } catch (const Error& error) {
    if (error.category() != ErrorCategory::unsupported) throw;
    return {};
  }
}

#define CLATTN_SKIP_WITHOUT_DEVICE() \
  if (clattn::test::devices().empty()) GTEST_SKIP() << "there is no OpenCL device"

// An engine on a device of this machine, with a cache that lasts as long as the process: tests of
// one program share compiled kernels and leave nothing behind.
inline Engine make_engine(std::size_t device_index, const EngineOptions& base = {}) {
  static const TemporaryFolder cache;
  EngineOptions options = base;
  options.device = std::to_string(device_index);
  if (!options.cache_dir) options.cache_dir = cache.path().string();
  return Engine(options);
}

// A device, by its index, and a kernel family that takes it.
struct Target {
  std::size_t device_index = 0;
  std::string family;
  std::string label;
};

inline std::vector<Target> targets() {
  std::vector<Target> result;
  const std::vector<Device> all = devices();
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const std::string& family : family_names()) {
      if (!family_rejection(family, all[i].facts).empty()) continue;
      result.push_back({i, family, all[i].facts.name + " / " + family});
    }
  }
  return result;
}

inline Queue make_queue(const Engine& engine, cl_command_queue_properties properties = 0) {
  cl_int status = CL_SUCCESS;
  auto queue =
      Queue::adopt(clCreateCommandQueue(engine.context(), engine.device().id, properties, &status));
  if (status != CL_SUCCESS) throw std::runtime_error("clCreateCommandQueue failed");
  return queue;
}

inline Memory make_buffer(cl_context context, std::size_t bytes, const void* content = nullptr) {
  cl_int status = CL_SUCCESS;
  auto buffer = Memory::adopt(
      clCreateBuffer(context, CL_MEM_READ_WRITE | (content ? CL_MEM_COPY_HOST_PTR : 0), bytes,
                     const_cast<void*>(content), &status));
  if (status != CL_SUCCESS) throw std::runtime_error("clCreateBuffer failed");
  return buffer;
}

template <typename Element>
std::vector<Element> read_buffer(cl_command_queue queue, cl_mem buffer, std::size_t count) {
  std::vector<Element> result(count);
  EXPECT_EQ(clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, count * sizeof(Element), result.data(),
                                0, nullptr, nullptr),
            CL_SUCCESS);
  return result;
}

// `count` stored elements from a normal distribution of the given width.
inline std::vector<std::byte> random_elements(Random& random, DataType type, std::int64_t count,
                                              double width = 1.0) {
  std::vector<std::byte> result(static_cast<std::size_t>(count) * size_of(type));
  std::normal_distribution<double> normal(0.0, width);
  for (std::int64_t i = 0; i < count; ++i) store_element(type, normal(random), result.data(), i);
  return result;
}

// Any mask of the library, with ends that are small, larger than the extent, or huge.
inline Mask random_mask(Random& random, const Extent& extent) {
  const auto end = [&]() -> std::optional<std::int64_t> {
    switch (uniform(random, 0, 5)) {
      case 0:
        return std::nullopt;
      case 1:
        return 0;
      case 2:
        return std::int64_t{1} << 40;
      case 3:
        return std::numeric_limits<std::int64_t>::max();
      default:
        return uniform(random, 0, extent.query_len + extent.key_len);
    }
  };
  switch (uniform(random, 0, 5)) {
    case 0:
      return dense_mask();
    case 1:
      return causal_mask(CausalAlign::bottom_right);
    case 2:
      return causal_mask(CausalAlign::top_left);
    default:
      return window_mask(end(), end());
  }
}

}  // namespace clattn::test
