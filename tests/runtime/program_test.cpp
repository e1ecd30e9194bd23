// Building programs: what an error carries, when the disk cache is used, and where sources come
// from.
#include "runtime/program.hpp"

#include "runtime/embedded_sources.hpp"
#include "tests/support.hpp"

namespace clattn {
namespace {

using test::expect_error;
using test::TemporaryFolder;
namespace fs = std::filesystem;

// A program whose kernel writes ANSWER.
ProgramRequest request_of(int answer) {
  return {"test answer",
          {{"answer.cl", "__kernel void answer(__global int *out) { out[0] = ANSWER; }"}},
          {{"ANSWER", answer}}};
}

int run(const Engine& engine, const Program& program) {
  const Kernel kernel = make_kernel(program, "answer");
  const Queue queue = test::make_queue(engine);
  const Memory buffer = test::make_buffer(engine.context(), sizeof(int));
  const cl_mem memory = buffer.get();
  const std::size_t one = 1;
  EXPECT_EQ(clSetKernelArg(kernel.get(), 0, sizeof memory, &memory), CL_SUCCESS);
  EXPECT_EQ(clEnqueueNDRangeKernel(queue.get(), kernel.get(), 1, nullptr, &one, nullptr, 0, nullptr,
                                   nullptr),
            CL_SUCCESS);
  return test::read_buffer<int>(queue.get(), memory, 1)[0];
}

// Runs `body(engine, context, device)` on every device.
template <typename Body>
void on_every_device(Body&& body) {
  const std::size_t count = test::devices().size();
  for (std::size_t i = 0; i < count; ++i) {
    const Engine engine = test::make_engine(i);
    SCOPED_TRACE(engine.device().facts.name);
    body(engine, Context::retain(engine.context()), engine.device());
  }
}

TEST(ProgramStore, ABuildFailureCarriesEverything) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine&, const Context& context, const Device& device) {
    ProgramStore store(context, device, "", {});
    // Two mistakes, the second in another file: the whole log must come.
    const ProgramRequest request = {"family config-7",
                                    {{"first.cl", "int fine;\nint one = undeclared_one;"},
                                     {"folder/second.cl", "\n\nint two = undeclared_two;"}},
                                    {{"SOME_MACRO", 12}}};
    std::vector<std::string> parts = {
        "family config-7", device.facts.name,      device.facts.driver_version,    "-cl-std=CL1.2",
        "-DSOME_MACRO=12", "first.cl from line 1", "folder/second.cl from line 4", "undeclared_one",
        "undeclared_two"};
    // NVIDIA's compiler counts the lines of the whole source.
    if (device.facts.compute_capability == 0) {
      parts.insert(parts.end(), {"first.cl:2", "folder/second.cl:3"});
    }
    expect_error(ErrorCategory::build_failure, parts, [&] { store.get(request); });
  });
}

TEST(ProgramStore, BuildsOnceAndKeeps) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine, const Context& context, const Device& device) {
    ProgramStore store(context, device, "", {});
    const Program first = store.get(request_of(41));
    EXPECT_EQ(run(engine, first), 41);
    EXPECT_EQ(store.get(request_of(41)).get(), first.get());
    const Program other = store.get(request_of(42));
    EXPECT_NE(other.get(), first.get());
    EXPECT_EQ(run(engine, other), 42);
  });
}

// The cached file of one program under the name and key of another gives the other's answer: so the
// second store really took it from disk.
TEST(ProgramStore, TakesAValidFileFromDisk) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine, const Context& context, const Device& device) {
    const TemporaryFolder folder;
    ProgramStore(context, device, folder.path() / "a", {}).get(request_of(1));
    ProgramStore(context, device, folder.path() / "b", {}).get(request_of(2));
    const fs::path a = fs::directory_iterator(folder.path() / "a")->path();
    const fs::path b = fs::directory_iterator(folder.path() / "b")->path();
    ASSERT_NE(a.filename(), b.filename());
    std::string forged = test::read_file(b);
    forged.replace(16, 16, test::read_file(a), 16, 16);  // the key
    test::write_file(a, forged);
    ProgramStore second(context, device, folder.path() / "a", {});
    EXPECT_EQ(run(engine, second.get(request_of(1))), 2);
  });
}

TEST(ProgramStore, RebuildsSilentlyWhatTheDiskHasSpoilt) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine, const Context& context, const Device& device) {
    const TemporaryFolder folder;
    const auto fresh_answer = [&](test::LogRecorder& log) {
      ProgramStore store(context, device, folder.path(), log.callback());
      return run(engine, store.get(request_of(5)));
    };
    test::LogRecorder log;
    EXPECT_EQ(fresh_answer(log), 5);
    const fs::path file = fs::directory_iterator(folder.path())->path();
    const std::string good = test::read_file(file);
    DiskCache cache(folder.path(), {});
    CacheKey key;
    std::memcpy(&key, good.data() + 16, sizeof key);
    std::string flipped = good;
    flipped[good.size() / 2] ^= 1;
    for (const std::string& bad : {std::string(), good.substr(0, 20), good.substr(0, 100), flipped,
                                   std::string("something else entirely")}) {
      test::write_file(file, bad);
      EXPECT_EQ(fresh_answer(log), 5);
      EXPECT_TRUE(cache.load(key)) << "it was not stored anew";
    }
    // Whole and with a right hash, but no program of this device.
    for (const char* payload : {"", "no program"}) {
      cache.store(key, payload);
      EXPECT_EQ(fresh_answer(log), 5) << payload;
    }
    EXPECT_TRUE(log.warnings().empty());
  });
}

TEST(ProgramStore, WorksWithoutItsFolderAndSaysSoOnce) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine, const Context& context, const Device& device) {
    test::LogRecorder log;
    ProgramStore store(context, device, "/proc/self/clattn", log.callback());
    EXPECT_EQ(run(engine, store.get(request_of(6))), 6);
    EXPECT_EQ(run(engine, store.get(request_of(7))), 7);
    EXPECT_EQ(log.warnings().size(), 1u);
  });
}

TEST(ProgramStore, WithoutCompilerIsUnsupportedButTheDiskStillServes) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine, const Context& context, Device device) {
    const TemporaryFolder folder;
    ProgramStore(context, device, folder.path(), {}).get(request_of(8));
    device.facts.compiler = false;
    ProgramStore store(context, device, folder.path(), {});
    EXPECT_EQ(run(engine, store.get(request_of(8))), 8);
    expect_error(ErrorCategory::unsupported, {device.facts.name, "compiler"},
                 [&] { store.get(request_of(9)); });
  });
}

// No device gives the text that this patch asks for, and most give no text.
TEST(ProgramStore, APatchThatCannotBeAppliedFailsCleanly) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  on_every_device([](const Engine& engine, const Context& context, const Device& device) {
    const TemporaryFolder folder;
    ProgramStore store(context, device, folder.path(), {});
    ProgramRequest request = request_of(10);
    request.patch = ProgramPatch{"no such marker", {}};
    for (int attempt = 0; attempt < 2; ++attempt) {
      expect_error(ErrorCategory::build_failure,
                   {"patching test answer", device.facts.name, device.facts.driver_version},
                   [&] { store.get(request); });
    }
    EXPECT_TRUE(fs::is_empty(folder.path()));
    EXPECT_EQ(run(engine, store.get(request_of(10))), 10);
  });
}

// Where the driver gives text, as NVIDIA's does, another number in it gives another answer; a later
// store takes the patched text from disk, and neither takes it for the program without a patch.
TEST(ProgramStore, APatchedProgramIsAProgramOfItsOwn) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  bool ran = false;
  on_every_device([&](const Engine& engine, const Context& context, const Device& device) {
    if (device.facts.compute_capability == 0) return;
    ran = true;
    const TemporaryFolder folder;
    ProgramRequest request = request_of(123456);
    request.patch = ProgramPatch{"123456", {{"//", "//"}}};
    // Without its marker the store has no operand: the assembler refuses it.
    ProgramStore store(context, device, folder.path(), {});
    expect_error(ErrorCategory::build_failure, {"building test answer, patched, failed"},
                 [&] { store.get(request); });
    request.files[0].text =
        "__kernel void answer(__global int *out) { out[0] = ANSWER;"
        " asm volatile(\"//NOW st.global.u32 [%0], 7;\" ::\"l\"(out) : \"memory\"); }";
    request.patch = ProgramPatch{"//NOW ", {}};
    EXPECT_EQ(run(engine, store.get(request)), 7);
    EXPECT_EQ(run(engine, ProgramStore(context, device, folder.path(), {}).get(request)), 7);
    request.patch.reset();
    EXPECT_EQ(run(engine, store.get(request)), 123456);
  });
  if (!ran) GTEST_SKIP() << "no device gives its programs as text";
}

TEST(KernelFile, EveryEmbeddedFileIsThere) {
  EXPECT_GE(embedded_sources().size(), 6u);
  for (const EmbeddedSource& source : embedded_sources()) {
    const SourceFile file = kernel_file(source.name);
    EXPECT_EQ(file.name, source.name);
    EXPECT_GT(file.text.size(), 100u);
  }
  expect_error(ErrorCategory::unsupported, {"none/such.cl"}, [] { kernel_file("none/such.cl"); });
}

TEST(KernelFile, ComesFromTheFolderThatTheEnvironmentNames) {
  const TemporaryFolder folder;
  fs::create_directory(folder.path() / "common");
  test::write_file(folder.path() / "common" / "storage.cl", "// mine");
  const test::ScopedEnvironment path("CLATTN_KERNEL_PATH", folder.path().string());
  EXPECT_EQ(kernel_file("common/storage.cl").text, "// mine");
  expect_error(ErrorCategory::invalid_argument,
               {"CLATTN_KERNEL_PATH", (folder.path() / "common/softmax.cl").string()},
               [] { kernel_file("common/softmax.cl"); });
  fs::create_directory(folder.path() / "common" / "softmax.cl");
  expect_error(ErrorCategory::invalid_argument, {"common/softmax.cl"},
               [] { kernel_file("common/softmax.cl"); });
}

}  // namespace
}  // namespace clattn
