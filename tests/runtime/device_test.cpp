// Device selection over made-up devices, and every entry of the quirks table.
#include <clattn/device.hpp>
#include <set>

#include "runtime/quirks.hpp"
#include "tests/support.hpp"

namespace clattn {
namespace {

using test::expect_error;

Device make_device(DeviceKind kind, const char* platform, const char* name, int units = 1,
                   bool compiler = true) {
  Device device;
  device.facts.kind = kind;
  device.facts.platform = platform;
  device.facts.name = name;
  device.facts.compute_units = units;
  device.facts.compiler = compiler;
  return device;
}

const std::vector<Device> kDevices = {
    make_device(DeviceKind::cpu, "Portable Computing Language", "pthread-Xeon", 64),
    make_device(DeviceKind::gpu, "Little GPUs", "Tiny 10", 4),
    make_device(DeviceKind::gpu, "NVIDIA CUDA", "NVIDIA H200", 132),
    make_device(DeviceKind::accelerator, "Boards", "CPU-like board", 256),
};

std::string selected(std::string_view selector, const std::vector<Device>& devices = kDevices) {
  return select_device(devices, selector).facts.name;
}

TEST(SelectDevice, BestIsGpuBeforeAcceleratorBeforeCpu) {
  EXPECT_EQ(selected(""), "NVIDIA H200");
  EXPECT_EQ(selected("", {kDevices[0], kDevices[3]}), "CPU-like board");
  EXPECT_EQ(selected("", {kDevices[0]}), "pthread-Xeon");
}

TEST(SelectDevice, MoreComputeUnitsWinAndTheFirstOfEquals) {
  EXPECT_EQ(selected("gpu"), "NVIDIA H200");
  EXPECT_EQ(selected("", {make_device(DeviceKind::gpu, "p", "first", 8),
                          make_device(DeviceKind::gpu, "p", "second", 8)}),
            "first");
}

TEST(SelectDevice, ADeviceWithoutCompilerIsTheLastChoice) {
  EXPECT_EQ(selected("", {make_device(DeviceKind::gpu, "p", "mute", 100, false), kDevices[0]}),
            "pthread-Xeon");
}

TEST(SelectDevice, ByKindWhateverTheNames) {
  EXPECT_EQ(selected("cpu"), "pthread-Xeon");  // not the board that has it in its name
  EXPECT_EQ(selected("CPU"), "pthread-Xeon");
  EXPECT_EQ(selected("accelerator"), "CPU-like board");
}

TEST(SelectDevice, ByIndex) {
  EXPECT_EQ(selected("0"), "pthread-Xeon");
  EXPECT_EQ(selected("1"), "Tiny 10");
  EXPECT_EQ(selected("3"), "CPU-like board");
}

TEST(SelectDevice, ByPartOfPlatformOrNameWithoutRegardToCase) {
  EXPECT_EQ(selected("TINY"), "Tiny 10");
  EXPECT_EQ(selected("portable comp"), "pthread-Xeon");
  EXPECT_EQ(selected("cuda / nvidia"), "NVIDIA H200");
  EXPECT_EQ(selected("10"), "Tiny 10");  // no index, but in a name
}

TEST(SelectDevice, NoMatchListsTheDevices) {
  for (const std::string& selector : std::vector<std::string>{"Radeon", "4", "-1", "1x"}) {
    expect_error(ErrorCategory::invalid_argument,
                 {selector, "0: Portable Computing Language / pthread-Xeon (cpu)",
                  "1: Little GPUs / Tiny 10 (gpu)", "3: Boards / CPU-like board (accelerator)"},
                 [&] { select_device(kDevices, selector); });
  }
}

TEST(DeviceKind, HasANameEach) {
  EXPECT_STREQ(to_string(DeviceKind::cpu), "cpu");
  EXPECT_STREQ(to_string(DeviceKind::gpu), "gpu");
  EXPECT_STREQ(to_string(DeviceKind::accelerator), "accelerator");
  EXPECT_STREQ(to_string(DeviceKind::other), "other");
}

// Re-executes this program, so that the OpenCL loader starts anew in an environment without
// vendors.
TEST(ListDevicesDeathTest, NoPlatformIsAnErrorThatSaysWhatToInstall) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const test::TemporaryFolder empty;
        ::setenv("OCL_ICD_VENDORS", empty.path().c_str(), 1);
        ::unsetenv("OCL_ICD_FILENAMES");
        int status = 1;
        try {
          list_devices();
        } catch (const Error& error) {
          std::cerr << to_string(error.category()) << ": " << error.what() << std::endl;
          status = 42;
        }
        std::filesystem::remove(empty.path());
        std::_Exit(status);
      },
      testing::ExitedWithCode(42), "unsupported: no OpenCL platform is installed.*pocl-opencl-icd");
}

const Quirk& quirk(std::string_view id) {
  for (const Quirk& entry : quirks()) {
    if (entry.id == id) return entry;
  }
  throw std::runtime_error("no such quirk");
}

TEST(Quirks, EachHasAnIdOfItsOwnAndAReason) {
  std::set<std::string> ids;
  for (const Quirk& entry : quirks()) {
    EXPECT_TRUE(ids.insert(entry.id).second) << entry.id;
    EXPECT_GT(std::string(entry.reason).size(), 20u) << entry.id;
  }
  // Each of them has its test below.
  EXPECT_EQ(ids,
            (std::set<std::string>{"nvidia-static-local-memory", "cpu-local-memory-is-cache"}));
}

TEST(Quirks, NvidiaStaticLocalMemoryIsForComputeCapability90) {
  DeviceFacts facts;
  facts.kind = DeviceKind::gpu;
  facts.local_memory_reported = facts.local_memory_bytes = 48 * 1024;
  for (int capability : {0, 75, 80, 86, 89, 100}) {
    facts.compute_capability = capability;
    EXPECT_FALSE(quirk("nvidia-static-local-memory").applies(facts)) << capability;
  }
  facts.compute_capability = 90;
  apply_quirks(facts);
  EXPECT_EQ(facts.local_memory_bytes, 227 * 1024);
  EXPECT_EQ(facts.local_memory_reported, 48 * 1024);
  EXPECT_EQ(facts.quirks, std::vector<std::string>{"nvidia-static-local-memory"});
}

TEST(Quirks, CpuLocalMemoryIsCacheIsForCpusThatReportMoreThan256KiB) {
  DeviceFacts facts;
  facts.local_memory_reported = facts.local_memory_bytes = 1 << 25;
  for (DeviceKind kind : {DeviceKind::gpu, DeviceKind::accelerator, DeviceKind::other}) {
    facts.kind = kind;
    EXPECT_FALSE(quirk("cpu-local-memory-is-cache").applies(facts)) << to_string(kind);
  }
  facts.kind = DeviceKind::cpu;
  apply_quirks(facts);
  EXPECT_EQ(facts.local_memory_bytes, 256 * 1024);
  EXPECT_EQ(facts.local_memory_reported, 1 << 25);
  EXPECT_EQ(facts.quirks, std::vector<std::string>{"cpu-local-memory-is-cache"});

  DeviceFacts small;
  small.kind = DeviceKind::cpu;
  small.local_memory_bytes = 256 * 1024;
  apply_quirks(small);
  EXPECT_EQ(small.local_memory_bytes, 256 * 1024);
  EXPECT_TRUE(small.quirks.empty());
}

TEST(Quirks, LeaveOrdinaryDevicesAlone) {
  DeviceFacts facts;
  facts.kind = DeviceKind::gpu;
  facts.local_memory_reported = facts.local_memory_bytes = 32 * 1024;
  apply_quirks(facts);
  EXPECT_EQ(facts.local_memory_bytes, 32 * 1024);
  EXPECT_TRUE(facts.quirks.empty());
}

}  // namespace
}  // namespace clattn
