#include "canvas.hpp"

#include <png.h>
#include <stb/stb_easy_font.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "fail.hpp"
#include "output_file.hpp"

namespace clattn::tool {
namespace {

// A corner of one of the rectangles that stb_easy_font makes letters of.
struct Vertex {
  float x, y, z;
  unsigned char color[4];
};
constexpr int kMostRectangles = 60;  // of a letter

// The font knows nothing beyond ASCII and takes pointers to char.
std::string printable(std::string line) {
  for (char& c : line) {
    if (c < ' ' || c > '~') c = '?';
  }
  return line;
}

}  // namespace

Canvas::Canvas(int width, int height, Color background)
    : width_(width),
      height_(height),
      pixels_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), background) {}

void Canvas::fill(int x, int y, int width, int height, Color color) {
  const int left = std::clamp(x, 0, width_), right = std::clamp(x + width, left, width_);
  for (int row = std::max(y, 0); row < std::min(y + height, height_); ++row) {
    const auto first = pixels_.begin() + static_cast<std::ptrdiff_t>(row) * width_;
    std::fill(first + left, first + right, color);
  }
}

Color Canvas::at(int x, int y) const {
  return pixels_[static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) +
                 static_cast<std::size_t>(x)];
}

void Canvas::disc(int x, int y, double radius, Color color) {
  const int reach = static_cast<int>(std::ceil(radius));
  for (int row = std::max(y - reach, 0); row <= std::min(y + reach, height_ - 1); ++row) {
    for (int column = std::max(x - reach, 0); column <= std::min(x + reach, width_ - 1); ++column) {
      const double cover = std::clamp(radius + 0.5 - std::hypot(column - x, row - y), 0.0, 1.0);
      const Color below = at(column, row);
      const auto mix = [&](std::uint8_t Color::*channel) {
        return static_cast<std::uint8_t>(cover * color.*channel + (1 - cover) * below.*channel +
                                         0.5);
      };
      fill(column, row, 1, 1, {mix(&Color::red), mix(&Color::green), mix(&Color::blue)});
    }
  }
}

void Canvas::text(int x, int y, int scale, const std::string& line, Color color) {
  std::string letters = printable(line);
  std::vector<Vertex> vertices(letters.size() * kMostRectangles * 4);
  const int rectangles = stb_easy_font_print(0, 0, letters.data(), nullptr, vertices.data(),
                                             static_cast<int>(vertices.size() * sizeof(Vertex)));
  for (int i = 0; i < rectangles; ++i) {
    const Vertex& first = vertices[static_cast<std::size_t>(i) * 4];
    const Vertex& last = vertices[static_cast<std::size_t>(i) * 4 + 2];
    const auto pixel = [&](float position) { return static_cast<int>(position) * scale; };
    fill(x + pixel(first.x), y + pixel(first.y), pixel(last.x) - pixel(first.x),
         pixel(last.y) - pixel(first.y), color);
  }
}

int Canvas::text_lines(int x, int y, int scale, const std::vector<std::string>& lines,
                       Color color) {
  for (const std::string& line : lines) {
    text(x, y, scale, line, color);
    y += line_height(scale);
  }
  return y;
}

void Canvas::save_png(const std::string& path) const {
  OutputFile file(path);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width_);
  image.height = static_cast<png_uint_32>(height_);
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::vector<std::byte> bytes(size);
  if (!png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels_.data(), 0, nullptr)) {
    fail("cannot make '{}': {}", path, image.message);
  }
  file.write(std::span(bytes).first(size));
  file.commit();
}

int text_width(const std::string& line, int scale) {
  std::string letters = printable(line);
  return stb_easy_font_width(letters.data()) * scale;
}

std::vector<std::string> wrapped(const std::string& text, int width, int scale) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t length = 1;
    while (begin + length < text.size() &&
           text_width(text.substr(begin, length + 1), scale) <= width) {
      ++length;
    }
    const std::size_t end = begin + length;
    const std::size_t blank = text.rfind(' ', end);
    if (end < text.size() && blank != std::string::npos && blank > begin) length = blank - begin;
    lines.push_back(text.substr(begin, length));
    begin = text.find_first_not_of(' ', begin + length);
  }
  return lines;
}

}  // namespace clattn::tool
