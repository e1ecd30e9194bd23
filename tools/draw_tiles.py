#!/usr/bin/env python3
"""Draws tools/tiles.svg, the README's picture: which tiles a plan visits under four masks.

Tiles are classified by asking the mask about every pair in them, not by the library.
Usage: tools/draw_tiles.py > tools/tiles.svg
"""

LENGTH, TILE, CELL, GAP = 384, 24, 11, 34
TONES = {"none": "#eceff3", "some": "#f2a65a", "all": "#2f6f9f"}
MASKS = {
    "dense": lambda i, j: True,
    "causal": lambda i, j: j <= i,
    "window left 96, right 0": lambda i, j: i - 96 <= j <= i,
    "window left 48, right 48": lambda i, j: i - 48 <= j <= i + 48,
}


def coverage(mask, row, column):
    pairs = [mask(i, j) for i in range(row, row + TILE) for j in range(column, column + TILE)]
    return "all" if all(pairs) else "some" if any(pairs) else "none"


def main():
    side = LENGTH // TILE * CELL
    width = len(MASKS) * (side + GAP) - GAP
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {side + 42}" '
          'font-family="sans-serif" font-size="12" fill="#333">')
    for index, (name, mask) in enumerate(MASKS.items()):
        left = index * (side + GAP)
        print(f'<text x="{left}" y="12">{name}</text>')
        squares = dict.fromkeys(TONES, "")
        for row in range(0, LENGTH, TILE):
            for column in range(0, LENGTH, TILE):
                x, y = left + column // TILE * CELL, 20 + row // TILE * CELL
                squares[coverage(mask, row, column)] += f"M{x} {y}h10v10h-10z"
        for kind, path in squares.items():
            print(f'<path fill="{TONES[kind]}" d="{path}"/>')
    legend = {"all": "visited", "some": "visited with the element mask", "none": "never touched"}
    x = 0
    for kind, text in legend.items():
        print(f'<rect x="{x}" y="{side + 28}" width="10" height="10" fill="{TONES[kind]}"/>'
              f'<text x="{x + 15}" y="{side + 37}">{text}</text>')
        x += 40 + 7 * len(text)
    print("</svg>")


if __name__ == "__main__":
    main()
