// A result file is complete or absent, and never a temporary one left behind.
#include "clattn/output_file.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <clattn/error.hpp>
#include <fstream>
#include <iterator>

namespace clattn::tool {
namespace {

class OutputFileTest : public testing::Test {
 protected:
  OutputFileTest() {
    folder_ = std::filesystem::temp_directory_path() /
              ("clattn_output_file_test_" + std::to_string(getpid()));
    std::filesystem::create_directory(folder_);
  }
  ~OutputFileTest() override { std::filesystem::remove_all(folder_); }

  std::ptrdiff_t files() const {
    return std::distance(std::filesystem::directory_iterator(folder_), {});
  }
  std::string text(const std::string& name) const {
    std::ifstream file(folder_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static std::span<const std::byte> bytes(const std::string& text) {
    return std::as_bytes(std::span(text));
  }

  std::filesystem::path folder_;
};

TEST_F(OutputFileTest, AppearsOnCommitOnly) {
  {
    OutputFile file(folder_ / "result");
    file.write(bytes("whole"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "result"));
    file.commit();
  }
  EXPECT_EQ(text("result"), "whole");
  EXPECT_EQ(files(), 1);
}

TEST_F(OutputFileTest, LeavesNothingWithoutCommit) {
  std::ofstream(folder_ / "result") << "earlier";
  {
    OutputFile file(folder_ / "result");
    file.write(bytes("half"));
  }
  EXPECT_EQ(text("result"), "earlier");
  EXPECT_EQ(files(), 1);
}

TEST_F(OutputFileTest, ReplacesTheTargetOfALink) {
  std::ofstream(folder_ / "target") << "earlier";
  std::filesystem::create_symlink("target", folder_ / "link");
  OutputFile file(folder_ / "link");
  file.write(bytes("later"));
  file.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(folder_ / "link"));
  EXPECT_EQ(text("target"), "later");
}

TEST_F(OutputFileTest, WritesDevicesDirectly) {
  OutputFile file("/dev/null");
  file.write(bytes("gone"));
  file.commit();
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST_F(OutputFileTest, RefusesAtOnce) {
  EXPECT_THROW(OutputFile(folder_ / "missing" / "result"), Error);
  EXPECT_THROW(OutputFile{folder_}, Error);
}

}  // namespace
}  // namespace clattn::tool
