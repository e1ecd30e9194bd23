// What the tests share: folders that vanish, a seeded generator, errors held to their category and
// words, the devices of this machine, and random masks. Device tests walk `targets()`, so that each
// OpenCL device runs every kernel family that takes it; without a device they skip, visibly.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <clattn/blocks.hpp>
#include <clattn/engine.hpp>
#include <clattn/error.hpp>
#include <clattn/log.hpp>
#include <clattn/mask.hpp>
#include <clattn/neighborhood.hpp>
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

inline const std::vector<Target>& targets() {
  static const std::vector<Target> all = [] {
    std::vector<Target> result;
    const std::size_t count = devices().size();
    for (std::size_t i = 0; i < count; ++i) {
      const Engine engine = make_engine(i);  // knows what the device's instructions do
      const DeviceFacts& facts = engine.device().facts;
      for (const std::string& family : family_names()) {
        if (!family_rejection(family, facts).empty()) continue;
        result.push_back({i, family, facts.name + " / " + family});
      }
    }
    return result;
  }();
  return all;
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

// A grid of so many tokens, 2 or more; of several dimensions where that is the product of small
// numbers.
inline std::vector<std::int64_t> random_grid(Random& random, std::int64_t tokens) {
  std::vector<std::int64_t> grid = {tokens};
  for (std::int64_t attempts = uniform(random, 0, 8); attempts > 0 && grid.size() < 3; --attempts) {
    const std::int64_t length = uniform(random, 2, 40);
    if (grid.back() % length != 0 || grid.back() == length) continue;
    grid.back() /= length;
    grid.insert(grid.begin(), length);
  }
  std::shuffle(grid.begin(), grid.end(), random);
  return grid;
}

// Over a grid whose lengths are 2 or more.
inline Neighborhood random_neighborhood(Random& random, std::vector<std::int64_t> grid,
                                        std::int64_t extra_keys = 0) {
  Neighborhood result{std::move(grid), {}, {}, {}, {}, extra_keys};
  for (std::int64_t length : result.grid) {
    result.dilation.push_back(uniform(random, 0, 1) ? uniform(random, 1, length / 2) : 1);
    result.window.push_back(uniform(random, 2, length / result.dilation.back()));
    result.stride.push_back(uniform(random, 0, 1) ? uniform(random, 1, result.window.back()) : 1);
    result.causal.push_back(uniform(random, 0, 1));
  }
  return result;
}

// Draws masks. What a mask is made of comes from one generator and its numbers from another, so
// that many masks can be drawn that are one OpenCL program. Numbers are small, larger than the
// extent, or huge.
class MaskMaker {
 public:
  MaskMaker(Random& shape, Random& numbers, std::int64_t batch, std::int64_t heads)
      : shape_(shape), numbers_(numbers), batch_(batch), heads_(heads) {}

  // Any mask, with others inside of it down to `depth`. If it is not `alone`, it must be valid over
  // larger extents, too.
  Mask any(const Extent& extent, int depth, bool alone = true) {
    // Whether lengths allow a grid hangs on numbers, which must not make another program.
    if (&shape_ == &numbers_ && alone && extent.query_len > 1 &&
        extent.key_len >= extent.query_len && uniform(shape_, 0, 4) == 0) {
      return neighborhood_mask(random_neighborhood(
          numbers_, random_grid(numbers_, extent.query_len), extent.key_len - extent.query_len));
    }
    const std::int64_t kind = uniform(shape_, 0, depth > 0 ? 10 : 4);
    if (!alone && (kind == 3 || kind == 9 || kind == 10)) return closed_form(extent);
    switch (kind) {
      case 3:
        return whole_blocks(extent);
      case 4:
        return uniform(shape_, 0, 1) ? random_blocks(extent) : user_written();
      case 5:
        return per_head(extent, depth, alone);
      case 6:
        return all_of_mask(parts(uniform(shape_, 0, 3), extent, depth, alone));
      case 7:
        return any_of_mask(parts(uniform(shape_, 0, 3), extent, depth, alone));
      case 8:
        return not_mask(any(extent, depth - 1, alone));
      case 9:
        return documents(extent, depth);
      case 10:
        return block_lists(extent, depth);
      default:
        return closed_form(extent);
    }
  }

  // A mask that classifies exactly.
  Mask closed_form(const Extent& extent) {
    const std::int64_t length = extent.query_len + extent.key_len;
    switch (uniform(shape_, 0, 8)) {
      case 0:
        return dense_mask();
      case 1:
        return causal_mask(CausalAlign::bottom_right);
      case 2:
        return causal_mask(CausalAlign::top_left);
      case 3:
        return prefix_mask(number(0, length));
      case 4:
        return sink_mask(number(0, length));
      case 5: {
        const auto left = end(length), right = end(length);
        return dilated_window_mask(left, right, number(1, 4));
      }
      case 6:
        return global_mask(tokens(extent.key_len));
      default: {
        const auto left = end(length), right = end(length);
        return window_mask(left, right);
      }
    }
  }

 private:
  std::int64_t number(std::int64_t low, std::int64_t high) {
    switch (uniform(numbers_, 0, 9)) {
      case 0:
        return std::int64_t{1} << 40;
      case 1:
        return std::numeric_limits<std::int64_t>::max();
      default:
        return uniform(numbers_, low, high);
    }
  }

  std::optional<std::int64_t> end(std::int64_t length) {
    switch (uniform(shape_, 0, 3)) {
      case 0:
        return std::nullopt;
      case 1:
        return 0;
      default:
        return number(1, length + 1);
    }
  }

  std::vector<std::int64_t> tokens(std::int64_t key_len) {
    std::vector<std::int64_t> result;
    for (std::int64_t i = uniform(numbers_, 0, 5); i > 0 && key_len > 0; --i) {
      const std::int64_t token = uniform(numbers_, 0, key_len - 1);
      if (std::find(result.begin(), result.end(), token) == result.end()) result.push_back(token);
    }
    return result;
  }

  std::vector<Mask> parts(std::int64_t count, const Extent& extent, int depth, bool alone) {
    std::vector<Mask> result;
    while (count-- > 0) result.push_back(any(extent, depth - 1, alone));
    return result;
  }

  // At most 8 or so blocks of either length, for some masks keep what they know of each.
  std::int64_t block(std::int64_t length) {
    return std::max<std::int64_t>(length / uniform(numbers_, 1, 7), 1);
  }

  Mask random_blocks(const Extent& extent) {
    const std::int64_t query_block = block(extent.query_len), key_block = block(extent.key_len);
    return random_blocks_mask(query_block, key_block, number(0, 4),
                              static_cast<std::uint32_t>(numbers_()));
  }

  // Dimensions are the problem's or 1.
  BlockShape block_shape(const Extent& extent) {
    const std::int64_t batch = uniform(shape_, 0, 1) ? batch_ : 1;
    const std::int64_t heads = uniform(shape_, 0, 1) ? heads_ : 1;
    const std::int64_t query_block = block(extent.query_len);
    return {query_block, block(extent.key_len), batch, heads, 0};
  }

  Mask whole_blocks(const Extent& extent) {
    const BlockShape shape = block_shape(extent);
    const std::int64_t query_blocks = shape.query_blocks(extent);
    const std::int64_t key_blocks = shape.key_blocks(extent);
    std::vector<std::uint8_t> kept(
        static_cast<std::size_t>(shape.batch * shape.heads * query_blocks * key_blocks));
    for (std::uint8_t& block : kept) block = uniform(numbers_, 0, 1) != 0;
    if (!kept.empty()) kept.front() = 1;  // for a mask of no blocks is another program
    return blocks_mask(shape, query_blocks, key_blocks, std::move(kept));
  }

  Mask block_lists(const Extent& extent, int depth) {
    BlockLists lists;
    lists.shape = block_shape(extent);
    const std::int64_t slices = lists.shape.batch * lists.shape.heads;
    const std::int64_t key_blocks = lists.shape.key_blocks(extent);
    const bool has_full = uniform(shape_, 0, 2) != 0;
    for (std::int64_t row = 0; row < slices * lists.shape.query_blocks(extent); ++row) {
      std::vector<std::int32_t> partial, full;
      for (std::int64_t j = 0; j < key_blocks; ++j) {
        const std::int64_t kind = row == 0 && j < 2 ? j : uniform(numbers_, 0, 2);
        if (kind == 0) partial.push_back(static_cast<std::int32_t>(j));
        if (kind == 1) full.push_back(static_cast<std::int32_t>(j));
      }
      const auto add = [&](std::vector<std::int32_t>& list, auto& counts, auto& indices) {
        counts.push_back(static_cast<std::int32_t>(list.size()));
        list.resize(static_cast<std::size_t>(key_blocks), -1);
        indices.insert(indices.end(), list.begin(), list.end());
      };
      add(partial, lists.partial_count, lists.partial_index);
      if (has_full) add(full, lists.full_count, lists.full_index);
    }
    if (uniform(shape_, 0, 2) == 0) {
      lists.key_lengths.resize(static_cast<std::size_t>(slices * key_blocks));
      for (std::int32_t& length : lists.key_lengths) {
        length = static_cast<std::int32_t>(uniform(numbers_, 0, lists.shape.key_block));
      }
    }
    return block_lists_mask(std::move(lists), extent, any(extent, depth - 1));
  }

  // In integers alone, so that the host and a device agree at all lengths. Batch and head are named
  // only where there are several.
  Mask user_written() {
    const auto written = [&](std::string text, const char* scalar) {
      return expression_mask(
          {std::move(text), {}, {{scalar, static_cast<std::int32_t>(uniform(numbers_, 0, 20))}}});
    };
    switch (uniform(shape_, 0, 2)) {
      case 0:
        return written(
            std::string(heads_ > 1 ? "head > 1 || " : "") + "(key & bits) == (query & bits)",
            "bits");
      case 1:
        return written(
            std::string(batch_ > 1 ? "batch == 0 ? key % 3 == 1 : " : "") + "key - query >= low",
            "low");
      default: {
        Buffer colors{"colors", ElementType::u8, 7, {}};
        for (int i = 0; i < 7; ++i) colors.values.push_back(std::byte(uniform(numbers_, 0, 3)));
        return expression_mask({"colors[key % 5] <= colors[query % 7]",
                                {std::make_shared<const Buffer>(std::move(colors))},
                                {}});
      }
    }
  }

  // Up to 3 different masks; the first heads have one each.
  Mask per_head(const Extent& extent, int depth, bool alone) {
    std::vector<Mask> masks =
        parts(uniform(shape_, 1, std::min<std::int64_t>(heads_, 3)), extent, depth, alone);
    const auto last = static_cast<std::int64_t>(masks.size()) - 1;
    while (static_cast<std::int64_t>(masks.size()) < heads_) {
      masks.push_back(masks[static_cast<std::size_t>(uniform(numbers_, 0, last))]);
    }
    return per_head_mask(std::move(masks));
  }

  // Documents of all lengths, 0 included; or of equal ones, where those inside may be packed again.
  Mask documents(const Extent& extent, int depth) {
    const bool equal = uniform(shape_, 0, 1) == 0;
    std::int64_t count = uniform(numbers_, 1, 20);
    while (equal && (extent.query_len % count != 0 || extent.key_len % count != 0)) --count;
    const auto lengths = [&](std::int64_t total) {
      std::vector<std::int64_t> offsets = {0, total};
      for (std::int64_t i = 1; i < count; ++i) {
        offsets.push_back(equal ? total / count * i : uniform(numbers_, 0, total));
      }
      std::sort(offsets.begin(), offsets.end());
      return lengths_from_offsets(offsets);
    };
    DocumentLengths of{lengths(extent.query_len), lengths(extent.key_len)};
    const Extent smallest{*std::min_element(of.queries.begin(), of.queries.end()),
                          *std::min_element(of.keys.begin(), of.keys.end())};
    return documents_mask(std::move(of), any(smallest, depth - 1, equal));
  }

  Random& shape_;
  Random& numbers_;
  std::int64_t batch_;
  std::int64_t heads_;
};

// Any mask of the library, with others inside of it down to `depth`.
inline Mask random_mask(Random& random, const Extent& extent, int depth = 0, std::int64_t batch = 1,
                        std::int64_t heads = 1) {
  return MaskMaker(random, random, batch, heads).any(extent, depth);
}

}  // namespace clattn::test
