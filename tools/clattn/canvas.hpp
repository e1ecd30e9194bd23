// A picture in 8-bit RGB: filled rectangles, discs and text, saved as PNG. Coordinates are pixels
// from the top left corner; what lies outside is cut off.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace clattn::tool {

struct Color {
  std::uint8_t red = 0;
  std::uint8_t green = 0;
  std::uint8_t blue = 0;

  friend bool operator==(const Color&, const Color&) = default;
};

class Canvas {
 public:
  Canvas(int width, int height, Color background);

  int width() const { return width_; }
  int height() const { return height_; }
  Color at(int x, int y) const;  // which must be inside
  void fill(int x, int y, int width, int height, Color color);
  // With a soft edge; the middle is that of the pixel.
  void disc(int x, int y, double radius, Color color);
  // One line, `scale` times the font's own size; what is not ASCII becomes '?'.
  void text(int x, int y, int scale, const std::string& line, Color color);
  // Several, one below another; returns where the next one would stand.
  int text_lines(int x, int y, int scale, const std::vector<std::string>& lines, Color color);
  // Throws Error (invalid_argument) if the file can't be written.
  void save_png(const std::string& path) const;

 private:
  int width_;
  int height_;
  std::vector<Color> pixels_;
};

int text_width(const std::string& line, int scale);
constexpr int line_height(int scale) { return 13 * scale; }
// `text` in lines no wider than `width`, broken at blanks where there are any.
std::vector<std::string> wrapped(const std::string& text, int width, int scale);

}  // namespace clattn::tool
