// What the .npy writer of the tool writes, the library's reader reads.
#include "clattn/npy.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <utility>
#include <vector>

#include "host/npy.hpp"
#include "tests/support.hpp"

namespace clattn::tool {
namespace {

TEST(WriteNpy, WritesWhatIsRead) {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() / "tensor.npy";
  const std::vector<std::int64_t> shape = {1, 2, 3, 8};
  const std::pair<DataType, NpyType> types[] = {{DataType::f32, NpyType::f32},
                                                {DataType::f16, NpyType::f16},
                                                {DataType::bf16, NpyType::bf16}};
  for (const auto& [type, npy_type] : types) {
    std::vector<std::byte> data(48 * size_of(type));
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i);
    OutputFile file(path);
    write_npy(file, type, shape, data);
    const NpyArray array = read_npy(path);
    EXPECT_EQ(array.type, npy_type);
    EXPECT_EQ(array.shape, shape);
    EXPECT_EQ(array.data, data);
    // NumPy aligns the data behind the header to 64 bytes.
    EXPECT_EQ((std::filesystem::file_size(path) - data.size()) % 64, 0u);
  }
}

}  // namespace
}  // namespace clattn::tool
