// How block maps are drawn, as text and as pictures: full, partial and empty blocks in three tones,
// and cells of several blocks in the mean of their tones.
#pragma once

#include <string>
#include <utility>

#include "block_map.hpp"
#include "canvas.hpp"

namespace clattn::tool {

constexpr Color kPaper = {255, 255, 255};
constexpr Color kInk = {51, 51, 51};
constexpr Color kFull = {47, 111, 159};
constexpr Color kPartial = {242, 166, 90};
constexpr Color kEmpty = {236, 239, 243};
constexpr int kLinesFrom = 6;  // pixels a cell from which on lines between cells do not hide them

// Two characters a cell, a line a row.
std::string text_picture(const BlockMap& map);
std::string text_legend(const BlockMap& map);

// In a square of `side` pixels, whose top left corner is given.
void draw_picture(Canvas& canvas, int x, int y, int side, const BlockMap& map);
// The width and height in pixels that draw_picture takes of the square.
std::pair<int, int> picture_size(int side, const BlockMap& map);
// One line of text height.
void draw_legend(Canvas& canvas, int x, int y, int scale);

double density(const BlockMap& map);  // percent
// "density 50.01% (8390656 of 16777216 pairs); of 1024 blocks 496 are full, 32 partial, 496 empty"
std::string statistics(const BlockMap& map);

}  // namespace clattn::tool
