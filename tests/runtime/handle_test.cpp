// Reference counts: what the library takes of the caller's objects it gives back, exactly.
#include <chrono>
#include <clattn/handle.hpp>
#include <thread>

#include "tests/support.hpp"

namespace clattn {
namespace {

template <typename Object, typename Info>
cl_uint count_of(Object object, Info (*query)(Object, cl_uint, std::size_t, void*, std::size_t*),
                 cl_uint name) {
  cl_uint count = 0;
  EXPECT_EQ(query(object, name, sizeof count, &count, nullptr), CL_SUCCESS);
  return count;
}

cl_uint context_count(cl_context context) {
  return count_of(context, clGetContextInfo, CL_CONTEXT_REFERENCE_COUNT);
}
cl_uint memory_count(cl_mem memory) {
  return count_of(memory, clGetMemObjectInfo, CL_MEM_REFERENCE_COUNT);
}
cl_uint queue_count(cl_command_queue queue) {
  return count_of(queue, clGetCommandQueueInfo, CL_QUEUE_REFERENCE_COUNT);
}
cl_uint event_count(cl_event event) {
  return count_of(event, clGetEventInfo, CL_EVENT_REFERENCE_COUNT);
}

// Implementations drop references of their own some time after a command has ended: a count is read
// until it is what it should be, for at most two seconds.
template <typename Count>
cl_uint settled(cl_uint expected, Count&& count) {
  for (int i = 0; i < 200 && count() != expected; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return count();
}

Context make_context(const Device& device) {
  return Context::adopt(clCreateContext(nullptr, 1, &device.id, nullptr, nullptr, nullptr));
}

TEST(Handle, CopiesRetainAndMovesDoNot) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  const Context context = make_context(test::devices().front());
  Memory memory = test::make_buffer(context.get(), 64);
  const cl_mem raw = memory.get();
  EXPECT_EQ(memory_count(raw), 1u);
  {
    Memory copy = memory;
    EXPECT_EQ(memory_count(raw), 2u);
    Memory moved = std::move(copy);
    EXPECT_FALSE(copy);  // NOLINT: a moved-from handle is empty
    EXPECT_EQ(memory_count(raw), 2u);
    moved = moved;
    EXPECT_EQ(memory_count(raw), 2u);
    moved = Memory();
    EXPECT_EQ(memory_count(raw), 1u);
    const Memory retained = Memory::retain(raw);
    EXPECT_EQ(memory_count(raw), 2u);
  }
  EXPECT_EQ(memory_count(raw), 1u);
  const Memory adopted = Memory::adopt(memory.release());
  EXPECT_FALSE(memory);
  EXPECT_EQ(memory_count(raw), 1u);
}

TEST(Handle, EmptyHandlesAreHarmless) {
  Memory empty;
  const Memory copy = empty, moved = std::move(empty), retained = Memory::retain(nullptr);
  EXPECT_FALSE(copy || moved || retained);
}

TEST(ReferenceCounts, EngineAndPlansGiveBackTheCallersObjects) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.facts.name);
    const Context context = make_context(device);
    const Queue queue = Queue::adopt(clCreateCommandQueue(context.get(), device.id, 0, nullptr));
    const Queue profiling = Queue::adopt(
        clCreateCommandQueue(context.get(), device.id, CL_QUEUE_PROFILING_ENABLE, nullptr));
    constexpr std::size_t kBytes = 4 * 8 * sizeof(float);
    const std::vector<char> zeros(kBytes);
    const Memory memory = test::make_buffer(context.get(), kBytes, zeros.data());
    const Event gate = Event::adopt(clCreateUserEvent(context.get(), nullptr));
    const cl_uint contexts = context_count(context.get());
    // What an implementation itself holds of a queue is its own business: only changes count.
    cl_uint queue_held = 0, profiling_held = 0;
    {
      const test::TemporaryFolder cache;
      EngineOptions options;
      options.cache_dir = cache.path().string();
      options.trace = true;
      const Engine engine(context.get(), device.id, options);
      EXPECT_GT(context_count(context.get()), contexts) << "the engine must retain the context";
      EXPECT_EQ(engine.context(), context.get());
      Problem problem;
      problem.query_len = problem.key_len = 4;
      problem.head_dim = problem.value_dim = 8;
      const Plan plan = engine.plan(problem);
      const Plan copy = plan;
      const cl_event wait = gate.get();
      const Tensors tensors = {{memory.get()}, {memory.get()}, {memory.get()}, {memory.get()}, {}};
      const Event event = plan.enqueue(queue.get(), tensors, {&wait, 1});
      EXPECT_EQ(clSetUserEventStatus(gate.get(), CL_COMPLETE), CL_SUCCESS);
      copy.enqueue(profiling.get(), tensors);  // recorded in the trace; its event is dropped here
      EXPECT_EQ(clFinish(queue.get()), CL_SUCCESS);
      EXPECT_EQ(clFinish(profiling.get()), CL_SUCCESS);
      EXPECT_EQ(settled(1, [&] { return event_count(event.get()); }), 1u)
          << "the caller owns the returned event alone";
      queue_held = queue_count(queue.get());
      profiling_held = queue_count(profiling.get());
    }
    EXPECT_EQ(settled(contexts, [&] { return context_count(context.get()); }), contexts);
    EXPECT_EQ(settled(1, [&] { return memory_count(memory.get()); }), 1u);
    EXPECT_EQ(settled(1, [&] { return event_count(gate.get()); }), 1u);
    EXPECT_LE(queue_count(queue.get()), queue_held);
    EXPECT_LT(queue_count(profiling.get()), profiling_held) << "the trace keeps its queue";
  }
}

TEST(ReferenceCounts, ARefusedContextIsNotRetained) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  const Context context = make_context(test::devices().front());
  const cl_uint before = context_count(context.get());
  EXPECT_THROW(Engine(context.get(), nullptr), Error);
  EXPECT_EQ(context_count(context.get()), before);
}

}  // namespace
}  // namespace clattn
