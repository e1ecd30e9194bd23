// Takes the noise out of a photograph by neighborhood attention over its pixels: non-local means
// (Buades, Coll, Morel 2005). A pixel becomes the mean of the pixels in the window around it, each
// weighted by exp(-|p - q|^2 / h^2), how like its patch q is to the pixel's own patch p. As
// |p - q|^2 = |p|^2 - 2 (p . q - |q|^2 / 2), and |p|^2 is the same for all keys, that is attention
// with query (p, 1), key (q, -|q|^2 / 2), scale 2 / h^2 and the pixels as values.
//
// Tall pictures are filtered in bands of rows, so that memory for patches does not grow with them:
// a band's windows are those of the whole picture for all rows that keep half a window away from
// where the band cuts. Exit status: 0; 1 if the gain is below --min-gain; 2 for bad use, bad input
// or a device that fails; 77 where there is no OpenCL device.
#include <png.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <clattn/engine.hpp>
#include <clattn/neighborhood.hpp>
#include <cmath>
#include <numeric>
#include <random>

#include "clattn/canvas.hpp"
#include "clattn/fail.hpp"
#include "clattn/launch.hpp"
#include "clattn/progress.hpp"

namespace clattn::tool {
namespace {

constexpr std::int64_t kColors = 3, kValueDim = 8;  // a value is a pixel and five zeros
constexpr std::int64_t kBandRows = 128;             // more where the window is tall
constexpr unsigned kSeed = 1;

struct Options {
  std::string input, output, comparison, device;
  std::int64_t window = 21, patch = 5;
  double strength = 20, noise = 0, min_gain = 0;
};

// Row-major, three levels of 0 to 255 a pixel.
struct Picture {
  std::int64_t width = 0, height = 0;
  std::vector<std::uint8_t> levels;
  const std::uint8_t* pixel(std::int64_t x, std::int64_t y) const {
    return levels.data() + (y * width + x) * kColors;
  }
};

Picture read_png(const std::string& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_file(&image, path.c_str())) {
    fail("cannot read '{}': {}", path, image.message);
  }
  image.format = PNG_FORMAT_RGB;
  Picture picture{image.width, image.height, std::vector<std::uint8_t>(PNG_IMAGE_SIZE(image))};
  const png_color background{255, 255, 255};  // of transparent pixels
  if (!png_image_finish_read(&image, &background, picture.levels.data(), 0, nullptr)) {
    fail("cannot read '{}': {}", path, image.message);
  }
  return picture;
}

// Side by side.
void write_png(const std::string& path, const std::vector<const Picture*>& pictures) {
  const auto width = static_cast<int>(pictures[0]->width);
  const auto height = static_cast<int>(pictures[0]->height);
  Canvas canvas(width * static_cast<int>(pictures.size()), height, {});
  for (int left = 0; const Picture* picture : pictures) {
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const std::uint8_t* const level = picture->pixel(x, y);
        canvas.fill(left + x, y, 1, 1, {level[0], level[1], level[2]});
      }
    }
    left += width;
  }
  canvas.save_png(path);
}

std::uint8_t to_level(double value) {
  return static_cast<std::uint8_t>(std::lround(std::clamp(value, 0.0, 255.0)));
}

Picture with_noise(Picture picture, double deviation) {
  std::mt19937 random(kSeed);
  std::normal_distribution<double> normal(0, deviation);
  for (std::uint8_t& level : picture.levels) level = to_level(level + normal(random));
  return picture;
}

// Peak signal-to-noise ratio of two pictures of one size, in decibels.
double psnr(const Picture& a, const Picture& b) {
  double squares = 0;
  for (std::size_t i = 0; i < a.levels.size(); ++i) {
    squares += std::pow(a.levels[i] - b.levels[i], 2);
  }
  return 10 * std::log10(255.0 * 255.0 * static_cast<double>(a.levels.size()) / squares);
}

// Neighborhood attention over `rows` rows of pixels.
Problem make_problem(std::int64_t rows, std::int64_t width, const Options& options) {
  const std::int64_t patch_levels = options.patch * options.patch * kColors;
  Problem problem;
  problem.query_len = problem.key_len = rows * width;
  problem.head_dim = (patch_levels + 1 + 7) / 8 * 8;
  problem.value_dim = kValueDim;
  // h is the distance of patches whose every level differs by the strength.
  const double strength = options.strength / 255;
  problem.scale = static_cast<float>(2 / (static_cast<double>(patch_levels) * strength * strength));
  Neighborhood neighborhood;
  neighborhood.grid = {rows, width};
  neighborhood.window = {options.window, options.window};
  problem.mask = neighborhood_mask(neighborhood);
  return problem;
}

// Of the pixels of a band, [tokens, dim] each. Levels run from -0.5 to 0.5: the smaller the
// products, the smaller their rounding.
struct Features {
  std::vector<float> query, key, value;
};

// Of the rows from `first` on. The picture's border continues outside it.
Features make_features(const Picture& picture, std::int64_t first, const Problem& problem,
                       std::int64_t patch) {
  const auto level = [&](std::int64_t x, std::int64_t y, int color) {
    x = std::clamp<std::int64_t>(x, 0, picture.width - 1);
    y = std::clamp<std::int64_t>(y, 0, picture.height - 1);
    return static_cast<float>(picture.pixel(x, y)[color]) / 255 - 0.5f;
  };
  Features features;
  for (std::int64_t token = 0; token < problem.query_len; ++token) {
    const std::int64_t x = token % picture.width, y = first + token / picture.width;
    std::vector<float> query;
    for (std::int64_t row = y - patch / 2; row <= y + patch / 2; ++row) {
      for (std::int64_t column = x - patch / 2; column <= x + patch / 2; ++column) {
        for (int color = 0; color < kColors; ++color) query.push_back(level(column, row, color));
      }
    }
    std::vector<float> key = query;
    query.push_back(1);
    key.push_back(-std::inner_product(key.begin(), key.end(), key.begin(), 0.0f) / 2);
    query.resize(static_cast<std::size_t>(problem.head_dim));
    key.resize(query.size());
    std::vector<float> value(kValueDim);
    for (int color = 0; color < kColors; ++color) value[color] = level(x, y, color);
    features.query.insert(features.query.end(), query.begin(), query.end());
    features.key.insert(features.key.end(), key.begin(), key.end());
    features.value.insert(features.value.end(), value.begin(), value.end());
  }
  return features;
}

// The filtered pixels of a band, in the form of its values.
std::vector<float> attend(const Launcher& launcher, const Plan& plan, Features features) {
  const auto upload = [&](std::vector<float>& values) {
    cl_int code = CL_SUCCESS;
    auto buffer =
        Memory::adopt(clCreateBuffer(launcher.engine().context(), CL_MEM_COPY_HOST_PTR,
                                     values.size() * sizeof(float), values.data(), &code));
    check_opencl(code, "clCreateBuffer");
    return buffer;
  };
  std::vector<float> result(features.value.size());
  const Memory query = upload(features.query), key = upload(features.key);
  const Memory value = upload(features.value), output = upload(result);
  plan.enqueue(launcher.queue(), {.query = {query.get()},
                                  .key = {key.get()},
                                  .value = {value.get()},
                                  .output = {output.get()}});
  check_opencl(
      clEnqueueReadBuffer(launcher.queue(), output.get(), CL_TRUE, 0, result.size() * sizeof(float),
                          result.data(), 0, nullptr, nullptr),
      "clEnqueueReadBuffer");
  return result;
}

Picture denoise(const Launcher& launcher, const Picture& picture, const Options& options) {
  const std::int64_t rows = std::min(picture.height, std::max(kBandRows, 4 * options.window));
  const Plan plan = launcher.engine().plan(make_problem(rows, picture.width, options));
  fmt::print("{}: {} ({})\n", launcher.engine().device().facts.name, plan.report().config,
             plan.report().why);
  Picture result = picture;
  Progress progress("filtering rows", picture.height);
  for (std::int64_t done = 0; done < picture.height;) {
    const std::int64_t first =
        std::clamp<std::int64_t>(done - options.window / 2, 0, picture.height - rows);
    const bool last = first + rows == picture.height;
    const std::int64_t end = last ? picture.height : first + rows - options.window / 2;
    const auto filtered =
        attend(launcher, plan, make_features(picture, first, plan.problem(), options.patch));
    for (std::int64_t pixel = done * picture.width; pixel < end * picture.width; ++pixel) {
      for (std::int64_t color = 0; color < kColors; ++color) {
        const std::int64_t token = pixel - first * picture.width;
        result.levels[static_cast<std::size_t>(pixel * kColors + color)] =
            to_level((filtered[static_cast<std::size_t>(token * kValueDim + color)] + 0.5) * 255);
      }
    }
    progress.update(done = end);
  }
  return result;
}

int run(const Options& options) {
  const Picture clean = read_png(options.input);
  const Picture noisy = options.noise > 0 ? with_noise(clean, options.noise) : clean;
  const auto start = std::chrono::steady_clock::now();
  const Launcher launcher(options.device);
  const Picture filtered = denoise(launcher, noisy, options);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  fmt::print("{} x {} pixels filtered in {}\n", clean.width, clean.height,
             format_duration(elapsed.count()));
  if (!options.output.empty()) write_png(options.output, {&filtered});
  if (!options.comparison.empty()) write_png(options.comparison, {&noisy, &filtered});
  if (options.noise <= 0) return 0;
  const double before = psnr(noisy, clean), after = psnr(filtered, clean);
  fmt::print("PSNR {:.2f} dB before, {:.2f} dB after: {:+.2f} dB\n", before, after, after - before);
  return after - before >= options.min_gain ? 0 : 1;
}

int parse_and_run(int argc, char** argv) {
  Options options;
  CLI::App app("Takes the noise out of a photograph by neighborhood attention.");
  app.add_option("input", options.input, "the photograph, PNG")->required();
  app.add_option("--output", options.output, "the filtered photograph, PNG");
  app.add_option("--comparison", options.comparison, "before and after side by side, PNG");
  app.add_option("--window", options.window, "pixels that are averaged, in each direction")
      ->capture_default_str();
  app.add_option("--patch", options.patch, "pixels that are compared, in each direction")
      ->check(CLI::IsMember({1, 3, 5, 7, 9}))
      ->capture_default_str();
  app.add_option("--strength", options.strength,
                 "difference, of 255, at which pixels count as unlike")
      ->check(CLI::Range(1.0, 255.0))
      ->capture_default_str();
  app.add_option("--noise", options.noise,
                 "first add normal noise of this standard deviation, of 255, and tell the gain")
      ->check(CLI::Range(0.0, 255.0));
  app.add_option("--min-gain", options.min_gain, "decibels of PSNR to gain, or fail");
  app.add_option("--device", options.device, "as for the tool (default: the best device)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  cl_uint platforms = 0;
  if (clGetPlatformIDs(0, nullptr, &platforms) != CL_SUCCESS || platforms == 0) {
    fmt::print("skipped: no OpenCL device\n");
    return 77;
  }
  return run(options);
}

}  // namespace
}  // namespace clattn::tool

int main(int argc, char** argv) {
  try {
    return clattn::tool::parse_and_run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "clattn_denoise: {}\n", error.what());
    return 2;
  }
}
