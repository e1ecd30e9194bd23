// Probes of instructions: what real devices say, and, on devices that pass for NVIDIA's with
// kernels in plain OpenCL C in the place of the real ones, that right results count, that wrong
// ones and failures become reasons, and that an engine outlives them.
#include "host/planning/probe.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/support.hpp"

namespace clattn {
namespace {

namespace fs = std::filesystem;

// What probe_mma computes, one work-item for each row.
constexpr const char* kPlainMma = R"(
float element(__global const ushort *matrix, int row, int column) {
#if STORAGE == 1
  return vload_half(row * 16 + column, (__global const half *)matrix);
#else
  return as_float((uint)matrix[row * 16 + column] << 16);
#endif
}

__kernel __attribute__((reqd_work_group_size(32, 1, 1))) void probe_mma(
    __global const ushort *tiles, __global float *results) {
  const int lane = get_local_id(0);
  results[272 + lane] = exp2(0.25f * (lane - 16));
  if (lane >= 16) return;
  float scores[16];
  float sum = 0.0f;
  for (int key = 0; key < 16; ++key) {
    scores[key] = 0.0f;
    for (int d = 0; d < 16; ++d) {
      scores[key] += element(tiles, lane, d) * element(tiles + 256, key, d);
    }
    sum += scores[key];
  }
  for (int d = 0; d < 16; ++d) {
    float output = 0.0f;
    for (int key = 0; key < 16; ++key) output += scores[key] * element(tiles + 512, key, d);
    results[lane * 16 + d] = output;
  }
  results[256 + lane] = sum;
}
)";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

// The outcome on every device, said to have the compute capability 9.0.
template <typename Body>
void probe_with(const std::string& mma_kernel, Body&& body) {
  const test::TemporaryFolder kernels;
  fs::create_directory(kernels.path() / "nvidia");
  for (const char* name : {"ptx.cl", "hopper.cl"}) {
    test::write_file(kernels.path() / "nvidia" / name, "");
  }
  test::write_file(kernels.path() / "nvidia/probe_mma.cl", mma_kernel);
  test::write_file(kernels.path() / "nvidia/probe_wgmma.cl",
                   "__kernel void probe_wgmma(__global float *scores) { scores[0] = 0.0f; }");
  const std::size_t count = test::devices().size();
  for (std::size_t i = 0; i < count; ++i) {
    const Engine engine = test::make_engine(i);
    const test::ScopedEnvironment path("CLATTN_KERNEL_PATH", kernels.path().string());
    Device device = engine.device();
    SCOPED_TRACE(device.facts.name);
    device.facts.compute_capability = 90;
    const Context context = Context::retain(engine.context());
    ProgramStore programs(context, device, "", {});
    test::LogRecorder log;
    const auto found = probe_instruction_sets(context, device, programs, log.callback());
    ASSERT_EQ(found.size(), 2u);
    body(found.at("mma"), log.warnings());
    // No device gives text with the marker of a kernel that has none.
    EXPECT_EQ(found.at("wgmma").find("patching nvidia/probe_wgmma failed on device"), 0u)
        << found.at("wgmma");
    EXPECT_EQ(probe_instruction_sets(context, device, programs, {}), found);
  }
}

void expect_mma_reason(const std::string& mma_kernel, const std::vector<std::string>& parts,
                       const std::string& only_in_the_log = "") {
  probe_with(mma_kernel, [&](const std::string& reason, const std::vector<std::string>& warnings) {
    for (const std::string& part : parts) {
      EXPECT_NE(reason.find(part), std::string::npos) << "no '" << part << "' in: " << reason;
    }
    EXPECT_EQ(reason.find('\n'), std::string::npos);
    ASSERT_EQ(warnings.size(), 2u);
    EXPECT_NE(warnings[0].find(reason), std::string::npos) << warnings[0];
    EXPECT_NE(warnings[0].find(only_in_the_log), std::string::npos) << warnings[0];
  });
}

TEST(Probe, DevicesDoWhatTheirComputeCapabilityPromises) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  const std::size_t count = test::devices().size();
  for (std::size_t i = 0; i < count; ++i) {
    test::LogRecorder log;
    EngineOptions options;
    options.log = log.callback();
    const Engine engine = test::make_engine(i, options);
    const DeviceFacts& facts = engine.device().facts;
    SCOPED_TRACE(facts.name);
    std::map<std::string, std::string> wanted;
    if (facts.compute_capability >= 80) wanted["mma"] = "";
    if (facts.compute_capability == 90) wanted["wgmma"] = "";
    EXPECT_EQ(facts.instruction_sets, wanted);
    EXPECT_TRUE(log.warnings().empty());
  }
}

TEST(Probe, TakesRightResults) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  probe_with(kPlainMma, [](const std::string& reason, const std::vector<std::string>& warnings) {
    EXPECT_EQ(reason, "");
    EXPECT_EQ(warnings.size(), 1u);  // of the other instructions
  });
}

TEST(Probe, RefusesResultsThatAreWrongOrMissing) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  // An element of one type only; a mere rearrangement; a result that is not written.
  expect_mma_reason(
      replaced(kPlainMma, "= output;", "= output + (STORAGE == 2 && lane == 15 && d == 15);"),
      {"a probe computed", "(result 255 of 304, bf16)"});
  expect_mma_reason(replaced(kPlainMma, "results[lane * 16 + d]", "results[d * 16 + lane]"),
                    {"a probe computed", "f16)"});
  expect_mma_reason(replaced(kPlainMma, "results[256 + lane] = sum;", ""),
                    {"a probe computed nan", "(result 256 of 304, f16)"});
  expect_mma_reason(replaced(kPlainMma, "exp2(0.25f", "exp2(0.250001f"), {"(result 272 of 304"});
}

TEST(Probe, MakesAFailureAReasonOfOneLine) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  expect_mma_reason("undeclared_type variable;", {"building nvidia/probe_mma f16 failed"},
                    "undeclared_type");
  expect_mma_reason(replaced(kPlainMma, "void probe_mma", "void another"), {"probe_mma"});
}

}  // namespace
}  // namespace clattn
