// What is drawn is what a PNG reader finds in the file.
#include "clattn/canvas.hpp"

#include <png.h>

#include <algorithm>

#include "tests/support.hpp"

namespace clattn::tool {
namespace {

constexpr Color kPaper{250, 251, 252};
constexpr Color kInk{1, 2, 3};

struct Picture {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> bytes;  // RGB

  bool is(int x, int y, Color color) const {
    const std::uint8_t* pixel = &bytes[static_cast<std::size_t>(y * width + x) * 3];
    return pixel[0] == color.red && pixel[1] == color.green && pixel[2] == color.blue;
  }
  std::ptrdiff_t count(Color color) const {
    std::ptrdiff_t result = 0;
    for (int i = 0; i < width * height; ++i) result += is(i % width, i / width, color);
    return result;
  }
};

Picture saved(const Canvas& canvas) {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() / "picture.png";
  canvas.save_png(path);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_TRUE(png_image_begin_read_from_file(&image, path.c_str())) << image.message;
  image.format = PNG_FORMAT_RGB;
  Picture picture{static_cast<int>(image.width), static_cast<int>(image.height), {}};
  picture.bytes.resize(PNG_IMAGE_SIZE(image));
  EXPECT_TRUE(png_image_finish_read(&image, nullptr, picture.bytes.data(), 0, nullptr));
  return picture;
}

TEST(Canvas, RectanglesAreCutAtTheEdges) {
  Canvas canvas(20, 10, kPaper);
  canvas.fill(2, 3, 4, 5, kInk);
  canvas.fill(18, -2, 9, 4, {9, 9, 9});
  canvas.fill(-5, 20, 3, 3, {8, 8, 8});
  canvas.fill(30, 0, 3, 3, {8, 8, 8});
  const Picture picture = saved(canvas);
  ASSERT_EQ(picture.width, 20);
  ASSERT_EQ(picture.height, 10);
  EXPECT_EQ(picture.count(kInk), 20);
  EXPECT_TRUE(picture.is(2, 3, kInk) && picture.is(5, 7, kInk));
  EXPECT_TRUE(picture.is(1, 3, kPaper) && picture.is(6, 7, kPaper));
  EXPECT_EQ(picture.count({9, 9, 9}), 4);
  EXPECT_EQ(picture.count({8, 8, 8}), 0);
}

TEST(Canvas, DiscsAreRoundAndSoftAtTheEdge) {
  Canvas canvas(41, 41, {255, 255, 255});
  canvas.disc(20, 20, 10, {0, 0, 0});
  canvas.disc(0, 40, 3, {9, 9, 9});  // cut
  double dark = 0;
  for (int y = 5; y < 35; ++y) {
    for (int x = 5; x < 35; ++x) {
      const Color color = canvas.at(x, y);
      dark += (255.0 - color.red) / 255;
      EXPECT_EQ(color, canvas.at(40 - x, y));
      EXPECT_EQ(color, canvas.at(y, x));
    }
  }
  EXPECT_NEAR(dark, 3.14159 * 10 * 10, 3);  // the disc's area
  EXPECT_EQ(canvas.at(20, 20), (Color{0, 0, 0}));
  EXPECT_EQ(canvas.at(11, 20), (Color{0, 0, 0}));
  EXPECT_EQ(canvas.at(9, 20), (Color{255, 255, 255}));
  EXPECT_EQ(canvas.at(0, 40), (Color{9, 9, 9}));
}

TEST(Canvas, TextIsDrawnWithinItsWidthAndScales) {
  std::string line;
  for (char c = ' '; c <= '~'; ++c) line += c;
  Canvas small(text_width(line, 1) + 10, line_height(1), kPaper);
  small.text(5, 0, 1, line, kInk);
  Canvas large(text_width(line, 3) + 30, line_height(3), kPaper);
  large.text(15, 0, 3, line, kInk);
  const Picture once = saved(small), thrice = saved(large);
  EXPECT_GT(once.count(kInk), 500);
  EXPECT_EQ(thrice.count(kInk), 9 * once.count(kInk));
  EXPECT_EQ(text_width(line, 3), 3 * text_width(line, 1));
  EXPECT_GT(text_width("é\n", 1), 0);  // neither is in the font
}

TEST(Canvas, LinesAreBrokenAtBlanksOrWhereTheyMust) {
  const std::string text = "one two three " + std::string(100, 'x') + " four";
  const int width = text_width("one two three", 2);
  const std::vector<std::string> lines = wrapped(text, width, 2);
  std::string joined;
  for (const std::string& line : lines) {
    EXPECT_LE(text_width(line, 2), width) << line;
    joined += line;
  }
  EXPECT_EQ(lines.front(), "one two three");
  const auto without_blanks = [](std::string letters) {
    std::erase(letters, ' ');
    return letters;
  };
  EXPECT_EQ(without_blanks(joined), without_blanks(text));
  EXPECT_TRUE(wrapped("", 100, 1).empty());
}

}  // namespace
}  // namespace clattn::tool
