#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <clattn/engine.hpp>
#include <cmath>

#include "host/invalid.hpp"
#include "host/planning/plan_state.hpp"
#include "runtime/rates.hpp"
#include "runtime/status.hpp"

namespace clattn {
namespace {

Context make_context(const Device& device) {
  const cl_context_properties properties[] = {
      CL_CONTEXT_PLATFORM, reinterpret_cast<cl_context_properties>(device.platform), 0};
  cl_int status = CL_SUCCESS;
  auto context =
      Context::adopt(clCreateContext(properties, 1, &device.id, nullptr, nullptr, &status));
  check(status, "clCreateContext");
  return context;
}

// The generated part of a program: the mask's expression as the function that kernels call.
SourceFile mask_source(const std::string& expression) {
  return {"mask",
          "#define MASK_VALUE(i) (arguments->mask_values[i])\n"
          "static inline int mask_allows(const clattn_arguments *arguments, int batch, int head,\n"
          "                              int query, int key) {\n"
          "  return " +
              expression + ";\n}\n"};
}

clattn_view view_of(const Problem& problem, Role role) {
  const Strides strides = tensor_shape(problem, role).strides;
  return {0, strides.batch, strides.head, strides.token};
}

// All but the offsets, which each launch brings.
clattn_arguments make_arguments(const Problem& problem,
                                const std::vector<std::int32_t>& mask_values) {
  clattn_arguments arguments = {};
  arguments.query = view_of(problem, Role::query);
  arguments.key = view_of(problem, Role::key);
  arguments.value = view_of(problem, Role::value);
  arguments.output = view_of(problem, Role::output);
  arguments.heads = static_cast<clattn_int32>(problem.heads);
  arguments.kv_heads = static_cast<clattn_int32>(problem.kv_heads);
  arguments.query_len = static_cast<clattn_int32>(problem.query_len);
  arguments.key_len = static_cast<clattn_int32>(problem.key_len);
  arguments.scale_log2 = problem.effective_scale() * 1.44269504088896341f;
  std::copy(mask_values.begin(), mask_values.end(), arguments.mask_values);
  return arguments;
}

template <typename Element>
Memory upload(const Context& context, const std::vector<Element>& elements) {
  const Element none{};  // an OpenCL buffer cannot be empty
  const std::size_t bytes = std::max<std::size_t>(elements.size(), 1) * sizeof(Element);
  const void* data = elements.empty() ? &none : elements.data();
  cl_int status = CL_SUCCESS;
  auto buffer = Memory::adopt(clCreateBuffer(context.get(), CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR,
                                             bytes, const_cast<void*>(data), &status));
  check(status, fmt::format("clCreateBuffer({} bytes)", bytes));
  return buffer;
}

std::int64_t work_group_limit(const Kernel& kernel, cl_device_id device) {
  std::size_t limit = 0;
  check(clGetKernelWorkGroupInfo(kernel.get(), device, CL_KERNEL_WORK_GROUP_SIZE, sizeof limit,
                                 &limit, nullptr),
        "clGetKernelWorkGroupInfo");
  return static_cast<std::int64_t>(limit);
}

// Refuses what a launch would read or write out of bounds, before anything is launched.
void check_view(const Plan::State& plan, const char* name, const TensorView& view,
                std::int64_t elements, std::size_t element_size) {
  if (elements == 0) return;
  if (!view.buffer) invalid("the {} buffer is null", name);
  cl_context context = nullptr;
  std::size_t bytes = 0;
  check(clGetMemObjectInfo(view.buffer, CL_MEM_CONTEXT, sizeof context, &context, nullptr),
        "clGetMemObjectInfo");
  check(clGetMemObjectInfo(view.buffer, CL_MEM_SIZE, sizeof bytes, &bytes, nullptr),
        "clGetMemObjectInfo");
  if (context != plan.engine->context.get()) {
    invalid("the {} buffer is of another OpenCL context than the engine", name);
  }
  if (view.offset < 0) invalid("the {} offset is {}, but must be 0 or more", name, view.offset);
  const std::size_t held = bytes / element_size;
  const auto offset = static_cast<std::size_t>(view.offset);
  if (offset > held) {
    invalid("the {} offset is {}, but the buffer has {} bytes, which is {} elements", name, offset,
            bytes, held);
  }
  const std::size_t needed = offset + static_cast<std::size_t>(elements);
  if (needed > held) {
    invalid("the {} buffer has {} bytes, but its offset and strides need {}", name, bytes,
            needed * element_size);
  }
}

void set_argument(cl_kernel kernel, cl_uint index, std::size_t size, const void* value) {
  check(clSetKernelArg(kernel, index, size, value), "clSetKernelArg");
}

PlanReport make_report(const Problem& problem, const Decision& decision, const Schedule& schedule) {
  PlanReport report;
  report.family = decision.family->name();
  report.config = decision.choice.id;
  report.why = decision.choice.why;
  report.rejected = decision.rejected;
  report.query_tile = decision.choice.tile.queries;
  report.key_tile = decision.choice.tile.keys;
  report.tiles_total = schedule.tiles_total;
  report.tiles_visited = schedule.tiles_visited;
  report.tiles_masked = schedule.tiles_masked;
  for (Role role : {Role::query, Role::key, Role::value, Role::output}) {
    report.bytes += double(tensor_shape(problem, role).elements()) * size_of(problem.data_type);
  }
  if (problem.lse) report.bytes += double(problem.batch * problem.heads * problem.query_len) * 4;
  report.work_groups =
      static_cast<std::int64_t>(schedule.rows.size()) * problem.batch * problem.heads;
  report.work_group_size = decision.choice.work_group_size;
  report.local_memory_bytes = decision.choice.local_memory_bytes;
  return report;
}

}  // namespace

Engine::State::State(Context context_, Device device_, const EngineOptions& options)
    : context(std::move(context_)),
      device(std::move(device_)),
      log(options.log),
      programs(context, device,
               options.cache_dir ? std::filesystem::path(*options.cache_dir)
                                 : DiskCache::default_folder(),
               options.log),
      trace(options.trace ? std::make_unique<Trace>(options.log) : nullptr) {}

Engine::Engine(const EngineOptions& options) {
  const std::vector<Device> devices = list_devices();
  const Device& device = select_device(devices, options.device);
  state_ = std::make_shared<State>(make_context(device), device, options);
}

Engine::Engine(cl_context context, cl_device_id device, const EngineOptions& options) {
  if (!context) invalid("the OpenCL context is null");
  if (!device) invalid("the OpenCL device is null");
  std::size_t bytes = 0;
  check(clGetContextInfo(context, CL_CONTEXT_DEVICES, 0, nullptr, &bytes), "clGetContextInfo");
  std::vector<cl_device_id> devices(bytes / sizeof(cl_device_id));
  check(clGetContextInfo(context, CL_CONTEXT_DEVICES, bytes, devices.data(), nullptr),
        "clGetContextInfo");
  if (std::find(devices.begin(), devices.end(), device) == devices.end()) {
    invalid("the device is not one of the {} in the context", devices.size());
  }
  state_ = std::make_shared<State>(Context::retain(context), describe_device(device), options);
}

Support Engine::supports(const Problem& problem, const PlanOptions& options) const {
  try {
    const Decision decision = decide(problem, state_->device.facts, options.family);
    if (decision.family) return {true, ""};
    return {false, fmt::format("{}", fmt::join(decision.rejected, "; "))};
  } catch (const Error& error) {
    return {false, error.what()};
  }
}

Plan Engine::plan(const Problem& problem, const PlanOptions& options) const {
  auto plan = std::make_shared<Plan::State>();
  plan->engine = state_;
  plan->problem = problem;

  DeviceFacts facts = state_->device.facts;
  Decision decision;
  for (;;) {
    decision = decide(problem, facts, options.family);
    if (!decision.family) {
      throw Error(decision.category, fmt::format("no kernel family takes this problem on {}: {}",
                                                 facts.name, fmt::join(decision.rejected, "; ")));
    }
    const KernelChoice& choice = decision.choice;
    if (problem.batch * problem.query_len == 0) break;  // nothing to write, nothing to build
    ProgramRequest request{fmt::format("{} {}", decision.family->name(), choice.id), {}, {}};
    request.files = {kernel_file("common/arguments.h"), mask_source(decision.mask_expression),
                     kernel_file("common/storage.cl"), kernel_file("common/softmax.cl")};
    for (const std::string& name : choice.files) request.files.push_back(kernel_file(name));
    request.defines = choice.defines;
    request.defines.emplace_back("HEAD_DIM", problem.head_dim);
    request.defines.emplace_back("VALUE_DIM", problem.value_dim);
    request.defines.emplace_back("STORAGE", static_cast<int>(problem.data_type));
    plan->kernel = make_kernel(state_->programs.get(request), "attention");
    // Registers can make a kernel's limit smaller than the device's: then choose again below it.
    const std::int64_t limit = work_group_limit(plan->kernel, state_->device.id);
    if (choice.work_group_size <= limit) break;
    facts.max_work_group_size = limit;
  }

  const Schedule schedule = make_schedule(*problem.mask, problem.extent(), decision.choice.tile);
  plan->report = make_report(problem, decision, schedule);
  if (!plan->kernel) return Plan(std::move(plan));

  plan->rows = upload(state_->context, schedule.rows);
  plan->spans = upload(state_->context, schedule.spans);
  plan->report.device_memory_bytes = static_cast<std::int64_t>(
      schedule.rows.size() * sizeof(clattn_row) + schedule.spans.size() * sizeof(clattn_span));
  plan->arguments = make_arguments(problem, decision.mask_values);
  const cl_mem rows = plan->rows.get();
  const cl_mem spans = plan->spans.get();
  set_argument(plan->kernel.get(), 6, sizeof rows, &rows);
  set_argument(plan->kernel.get(), 7, sizeof spans, &spans);
  plan->local[0] = static_cast<std::size_t>(decision.choice.work_group_size);
  plan->global[0] = schedule.rows.size() * plan->local[0];
  plan->global[1] = static_cast<std::size_t>(problem.batch * problem.heads);
  return Plan(std::move(plan));
}

cl_context Engine::context() const { return state_->context.get(); }

const Device& Engine::device() const { return state_->device; }

DeviceRates Engine::rates() const {
  const std::lock_guard lock(state_->rates_mutex);
  if (!state_->rates) {
    state_->rates = measure_rates(state_->context, state_->device, state_->programs);
  }
  return *state_->rates;
}

void Engine::write_trace(const std::string& path) const {
  if (!state_->trace) invalid("the engine was made without EngineOptions::trace");
  state_->trace->write(path);
}

Event Plan::enqueue(cl_command_queue queue, const Tensors& tensors,
                    std::span<const cl_event> wait_list) const {
  const State& plan = *state_;
  const Problem& problem = plan.problem;
  if (!queue) invalid("the command queue is null");
  cl_context context = nullptr;
  cl_device_id device = nullptr;
  check(clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, nullptr),
        "clGetCommandQueueInfo");
  check(clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof device, &device, nullptr),
        "clGetCommandQueueInfo");
  if (context != plan.engine->context.get()) {
    invalid("the command queue is of another OpenCL context than the engine");
  }
  if (device != plan.engine->device.id) {
    invalid("the command queue is of another device than the engine's, {}",
            plan.engine->device.facts.name);
  }
  const std::array<std::pair<Role, const TensorView*>, 4> views = {
      {{Role::query, &tensors.query},
       {Role::key, &tensors.key},
       {Role::value, &tensors.value},
       {Role::output, &tensors.output}}};
  for (const auto& [role, view] : views) {
    check_view(plan, to_string(role), *view, tensor_shape(problem, role).span(),
               size_of(problem.data_type));
  }
  if (problem.lse) {
    check_view(plan, "lse", tensors.lse, problem.batch * problem.heads * problem.query_len,
               sizeof(float));
  }

  const auto wait_count = static_cast<cl_uint>(wait_list.size());
  const cl_event* waits = wait_list.empty() ? nullptr : wait_list.data();
  cl_event raw = nullptr;
  if (!plan.kernel) {
    check(clEnqueueMarkerWithWaitList(queue, wait_count, waits, &raw),
          "clEnqueueMarkerWithWaitList");
    return Event::adopt(raw);
  }
  clattn_arguments arguments = plan.arguments;
  arguments.query.offset = tensors.query.offset;
  arguments.key.offset = tensors.key.offset;
  arguments.value.offset = tensors.value.offset;
  arguments.output.offset = tensors.output.offset;
  arguments.lse_offset = tensors.lse.offset;
  const cl_mem lse = problem.lse ? tensors.lse.buffer : nullptr;
  Launch launch;
  if (plan.engine->trace) {
    const PlanReport report = this->report();
    launch = {"attention", report.family + " " + report.config, report.flops, report.bytes};
  }
  {
    const std::lock_guard lock(plan.launch_mutex);
    cl_kernel kernel = plan.kernel.get();
    set_argument(kernel, 0, sizeof arguments, &arguments);
    set_argument(kernel, 1, sizeof(cl_mem), &tensors.query.buffer);
    set_argument(kernel, 2, sizeof(cl_mem), &tensors.key.buffer);
    set_argument(kernel, 3, sizeof(cl_mem), &tensors.value.buffer);
    set_argument(kernel, 4, sizeof(cl_mem), &tensors.output.buffer);
    set_argument(kernel, 5, sizeof(cl_mem), &lse);
    check(clEnqueueNDRangeKernel(queue, kernel, 2, nullptr, plan.global, plan.local, wait_count,
                                 waits, &raw),
          "clEnqueueNDRangeKernel");
  }
  auto event = Event::adopt(raw);
  if (plan.engine->trace) plan.engine->trace->record(queue, event, std::move(launch));
  return event;
}

const Problem& Plan::problem() const { return state_->problem; }

PlanReport Plan::report() const {
  const State& plan = *state_;
  const Problem& problem = plan.problem;
  // Counted on demand: for a long sequence it takes longer than planning.
  std::call_once(plan.visible_pairs_once, [&] {
    plan.visible_pairs = count_visible_pairs(*problem.mask, problem.extent());
  });
  PlanReport report = plan.report;
  report.visible_pairs = plan.visible_pairs;
  report.flops = 2.0 * double(problem.head_dim + problem.value_dim) * double(plan.visible_pairs) *
                 double(problem.batch * problem.heads);
  return report;
}

std::string Plan::explain(const std::optional<DeviceRates>& rates) const {
  return clattn::explain(state_->problem, state_->engine->device, report(), rates);
}

}  // namespace clattn
