// The .npy reader refuses every file that is not exactly what it says, and names the file and the
// value.
#include "host/npy.hpp"

#include "tests/host/npy_support.hpp"
#include "tests/support.hpp"

namespace clattn {
namespace {

using std::string_literals::operator""s;

class NpyTest : public testing::Test {
 protected:
  void write(const std::string& bytes) const { test::write_file(path_, bytes); }

  // Reads `bytes` as a file and expects an error that names the file and `part`.
  void expect_error(const std::string& bytes, const std::string& part) const {
    write(bytes);
    test::expect_error(ErrorCategory::invalid_argument, {path_, part}, [&] { read_npy(path_); });
  }

  test::TemporaryFolder folder_;
  const std::string path_ = (folder_.path() / "tensor.npy").string();
};

// That many zero bytes behind the dictionary.
std::string file_of(const std::string& dictionary, std::size_t data) {
  return test::npy_bytes(dictionary, std::string(data, '\0'));
}

using test::npy_dictionary;

TEST_F(NpyTest, ReadsElementTypes) {
  const std::tuple<const char*, NpyType, std::size_t> types[] = {
      {"<f4", NpyType::f32, 4},  {"<f2", NpyType::f16, 2}, {"<V2", NpyType::bf16, 2},
      {"|V2", NpyType::bf16, 2}, {"<u2", NpyType::u16, 2}, {"|b1", NpyType::u8, 1},
      {"|u1", NpyType::u8, 1},   {"<i4", NpyType::i32, 4}};
  for (const auto& [descr, type, bytes] : types) {
    write(file_of(npy_dictionary(descr, "(2, 3)"), 6 * bytes));
    const NpyArray array = read_npy(path_);
    EXPECT_EQ(array.type, type);
    EXPECT_EQ(array.shape, (std::vector<std::int64_t>{2, 3}));
    EXPECT_EQ(array.data.size(), 6 * bytes);
  }
}

TEST_F(NpyTest, ReadsShapes) {
  write(file_of(npy_dictionary("<f4", "()"), 4));
  EXPECT_TRUE(read_npy(path_).shape.empty());
  write(file_of(npy_dictionary("<f4", "(5,)"), 20));
  EXPECT_EQ(read_npy(path_).shape, std::vector<std::int64_t>{5});
  write(file_of(npy_dictionary("<f4", "(0, 7)"), 0));
  EXPECT_TRUE(read_npy(path_).data.empty());
}

TEST_F(NpyTest, ReadsVersionsTwoAndThree) {
  for (const char major : {'\x02', '\x03'}) {
    const std::string text = "{\"shape\":(1,),\"descr\":\"<f4\",\"fortran_order\":False}";
    write("\x93NUMPY"s + major + '\0' + static_cast<char>(text.size()) + "\0\0\0"s + text + "abcd");
    EXPECT_EQ(read_npy(path_).data.size(), 4u);
  }
}

TEST_F(NpyTest, NarrowsLongIntegersThatFit) {
  test::write_npy(path_, "<i8", "(3,)", std::vector<std::int64_t>{-2147483648, 0, 2147483647});
  const NpyArray array = read_npy(path_);
  EXPECT_EQ(array.type, NpyType::i32);
  EXPECT_EQ(array.shape, std::vector<std::int64_t>{3});
  std::vector<std::int32_t> values(3);
  ASSERT_EQ(array.data.size(), 12u);
  std::memcpy(values.data(), array.data.data(), 12);
  EXPECT_EQ(values, (std::vector<std::int32_t>{-2147483647 - 1, 0, 2147483647}));
  for (const std::int64_t value : {std::int64_t{2147483648}, std::int64_t{-2147483649}}) {
    test::write_npy(path_, "<i8", "(2,)", std::vector<std::int64_t>{7, value});
    test::expect_error(ErrorCategory::invalid_argument,
                       {path_, "element 1 is " + std::to_string(value)}, [&] { read_npy(path_); });
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
  expect_error(file_of(npy_dictionary("<f4", "(2, 3)"), 23), "is truncated: shape (2, 3) of '<f4'");
  expect_error(file_of(npy_dictionary("<f4", "(2, 3)"), 0), "needs 24 bytes");
  expect_error(file_of(npy_dictionary("<f4", "(2, 3)"), 25), "has trailing bytes");
  expect_error(file_of(npy_dictionary("<f4", "(1099511627776, 4096)"), 8), "more than");
  expect_error(file_of(npy_dictionary("<f4", "(99999999999999999999,)"), 8),
               "99999999999999999999");
  expect_error(file_of(npy_dictionary("<f4", "(-1,)"), 8), "-1");
}

TEST_F(NpyTest, RefusesLayoutsAndTypesItDoesNotRead) {
  expect_error(file_of(npy_dictionary("<f4", "(2, 3)", "True"), 24), "Fortran order");
  expect_error(file_of(npy_dictionary(">f4", "(2, 3)"), 24), "big-endian");
  expect_error(file_of(npy_dictionary("|O", "(2, 3)"), 24), "Python objects ('|O')");
  expect_error(file_of(npy_dictionary("<f8", "(2, 3)"), 48), "element type '<f8'");
  expect_error(file_of(npy_dictionary("<u4", "(2, 3)"), 24), "element type '<u4'");
  expect_error(file_of(npy_dictionary(">i4", "(2, 3)"), 24), "big-endian");
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
  expect_error(file_of(npy_dictionary("<f4", "(1"), 4), "malformed");
  expect_error(file_of(npy_dictionary("<f4", "(x,)"), 4), "malformed");
  expect_error(file_of(npy_dictionary("<f4", "(1,)", "Maybe"), 4), "malformed");
  expect_error(file_of(npy_dictionary("<f4", "(1,)") + "more", 4), "malformed");
  const std::string cut = file_of(npy_dictionary("<f4", "(1,)"), 0);
  expect_error(cut.substr(0, cut.size() - 10), "ends within its .npy header");
  expect_error("\x93NUMPY\x02\x00\xff\xff\xff\x7f{}"s, "a header of 2147483647 bytes");
}

TEST_F(NpyTest, RefusesPaths) {
  EXPECT_THROW(read_npy(path_), Error);  // there is none
  EXPECT_THROW(read_npy(folder_.path()), Error);
}

}  // namespace
}  // namespace clattn
