// The .npy reader refuses every file that is not exactly what it says, and names the file and the
// value; what the writer writes, the reader reads.
#include "clattn/npy.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <clattn/error.hpp>
#include <filesystem>
#include <fstream>
#include <string>

namespace clattn::tool {
namespace {

using std::string_literals::operator""s;

class NpyTest : public testing::Test {
 protected:
  NpyTest() {
    folder_ =
        std::filesystem::temp_directory_path() / ("clattn_npy_test_" + std::to_string(getpid()));
    std::filesystem::create_directory(folder_);
    path_ = folder_ / "tensor.npy";
  }
  ~NpyTest() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary).write(bytes.data(), std::ssize(bytes));
  }

  // Reads `bytes` as a file and expects an error that names the file and `part`.
  void expect_error(const std::string& bytes, const std::string& part) const {
    write(bytes);
    try {
      read_npy(path_);
      FAIL() << "no error; expected one with '" << part << "'";
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_EQ(error.category(), ErrorCategory::invalid_argument);
      EXPECT_NE(message.find(path_.string()), std::string::npos) << message;
      EXPECT_NE(message.find(part), std::string::npos) << message;
    }
  }

  std::filesystem::path folder_;
  std::filesystem::path path_;
};

// Version 1.0 with this dictionary, then `data` zero bytes.
std::string file_of(const std::string& dictionary, std::size_t data) {
  return "\x93NUMPY\x01\x00"s + static_cast<char>(dictionary.size() & 0xff) +
         static_cast<char>(dictionary.size() >> 8) + dictionary + std::string(data, '\0');
}

std::string dictionary(const std::string& descr, const std::string& shape,
                       const std::string& fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n";
}

TEST_F(NpyTest, ReadsElementTypes) {
  const std::pair<const char*, NpyType> types[] = {
      {"<f2", NpyType::f16}, {"<V2", NpyType::bf16}, {"|V2", NpyType::bf16}, {"<u2", NpyType::u16}};
  for (const auto& [descr, type] : types) {
    write(file_of(dictionary(descr, "(2, 3)"), 12));
    const NpyArray array = read_npy(path_);
    EXPECT_EQ(array.type, type);
    EXPECT_EQ(array.shape, (std::vector<std::int64_t>{2, 3}));
    EXPECT_EQ(array.data.size(), 12u);
  }
  write(file_of(dictionary("<f4", "(2, 3)"), 24));
  EXPECT_EQ(read_npy(path_).type, NpyType::f32);
}

TEST_F(NpyTest, ReadsShapes) {
  write(file_of(dictionary("<f4", "()"), 4));
  EXPECT_TRUE(read_npy(path_).shape.empty());
  write(file_of(dictionary("<f4", "(5,)"), 20));
  EXPECT_EQ(read_npy(path_).shape, std::vector<std::int64_t>{5});
  write(file_of(dictionary("<f4", "(0, 7)"), 0));
  EXPECT_TRUE(read_npy(path_).data.empty());
}

TEST_F(NpyTest, ReadsVersionsTwoAndThree) {
  for (const char major : {'\x02', '\x03'}) {
    const std::string text = "{\"shape\":(1,),\"descr\":\"<f4\",\"fortran_order\":False}";
    write("\x93NUMPY"s + major + '\0' + static_cast<char>(text.size()) + "\0\0\0"s + text + "abcd");
    EXPECT_EQ(read_npy(path_).data.size(), 4u);
  }
}

TEST_F(NpyTest, WritesWhatItReads) {
  const std::vector<std::int64_t> shape = {1, 2, 3, 8};
  const std::pair<DataType, NpyType> types[] = {{DataType::f32, NpyType::f32},
                                                {DataType::f16, NpyType::f16},
                                                {DataType::bf16, NpyType::bf16}};
  for (const auto& [type, npy_type] : types) {
    std::vector<std::byte> data(48 * size_of(type));
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i);
    OutputFile file(path_);
    write_npy(file, type, shape, data);
    const NpyArray array = read_npy(path_);
    EXPECT_EQ(array.type, npy_type);
    EXPECT_EQ(array.shape, shape);
    EXPECT_EQ(array.data, data);
    // NumPy aligns the data behind the header to 64 bytes.
    EXPECT_EQ((std::filesystem::file_size(path_) - data.size()) % 64, 0u);
  }
}

TEST_F(NpyTest, RefusesWhatIsNoNpyFile) {
  expect_error("", "not an .npy file");
  expect_error("\x93NUM", "not an .npy file");
  expect_error("PK\x03\x04 some zip file", "not an .npy file");
  expect_error("\x93NUMPY\x04\x00\x10\x00"s, "version 4.0");
  expect_error("\x93NUMPY\x01\x02\x10\x00"s, "version 1.2");
  expect_error("\x93NUMPY\x01\x00"s, "ends within its .npy header");
}

TEST_F(NpyTest, RefusesWrongSizes) {
  expect_error(file_of(dictionary("<f4", "(2, 3)"), 23), "is truncated: shape (2, 3) of '<f4'");
  expect_error(file_of(dictionary("<f4", "(2, 3)"), 0), "needs 24 bytes");
  expect_error(file_of(dictionary("<f4", "(2, 3)"), 25), "has trailing bytes");
  expect_error(file_of(dictionary("<f4", "(1099511627776, 4096)"), 8), "more than");
  expect_error(file_of(dictionary("<f4", "(99999999999999999999,)"), 8), "99999999999999999999");
  expect_error(file_of(dictionary("<f4", "(-1,)"), 8), "-1");
}

TEST_F(NpyTest, RefusesLayoutsAndTypesItDoesNotRead) {
  expect_error(file_of(dictionary("<f4", "(2, 3)", "True"), 24), "Fortran order");
  expect_error(file_of(dictionary(">f4", "(2, 3)"), 24), "big-endian");
  expect_error(file_of(dictionary("|O", "(2, 3)"), 24), "Python objects ('|O')");
  expect_error(file_of(dictionary("<f8", "(2, 3)"), 48), "element type '<f8'");
  expect_error(file_of(dictionary("<i4", "(2, 3)"), 24), "element type '<i4'");
  expect_error(file_of("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,), }\n", 4),
               "structured arrays");
}

TEST_F(NpyTest, RefusesMalformedHeaders) {
  expect_error(file_of("", 0), "malformed .npy header");
  expect_error(file_of("not a dictionary", 0), "malformed .npy header at 'not a dictionary'");
  expect_error(file_of("{'descr': '<f4', 'fortran_order': False}", 0), "has no 'shape'");
  expect_error(file_of("{'descr': '<f4', 'shape': (1,)}", 4), "has no 'fortran_order'");
  expect_error(file_of("{'shape': (1,), 'fortran_order': False}", 4), "has no 'descr'");
  expect_error(file_of("{'descr': '<f4', 'descr': '<f4'}", 4), "unexpected key 'descr'");
  expect_error(file_of("{'descr': '<f4', 'version': 1}", 4), "unexpected key 'version'");
  expect_error(file_of("{'descr': '<f4", 4), "malformed");
  expect_error(file_of(dictionary("<f4", "(1"), 4), "malformed");
  expect_error(file_of(dictionary("<f4", "(x,)"), 4), "malformed");
  expect_error(file_of(dictionary("<f4", "(1,)", "Maybe"), 4), "malformed");
  expect_error(file_of(dictionary("<f4", "(1,)") + "more", 4), "malformed");
  const std::string cut = file_of(dictionary("<f4", "(1,)"), 0);
  expect_error(cut.substr(0, cut.size() - 10), "ends within its .npy header");
  expect_error("\x93NUMPY\x02\x00\xff\xff\xff\x7f{}"s, "a header of 2147483647 bytes");
}

TEST_F(NpyTest, RefusesPaths) {
  EXPECT_THROW(read_npy(folder_ / "missing.npy"), Error);
  EXPECT_THROW(read_npy(folder_), Error);
}

}  // namespace
}  // namespace clattn::tool
