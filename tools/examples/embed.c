// clattn inside a C application that has its own context, queue, buffers, kernels and events:
//   make_query (ours) --event--> attention (clattn) --event--> add_residual (ours)
// with nothing waiting on the host in between. The result is held against the CPU reference: the
// exit status is 0 if it is right, 1 if not, 77 if there is no OpenCL device.
#define CL_TARGET_OPENCL_VERSION 120
#include <clattn/clattn.h>
#include <stdio.h>
#include <stdlib.h>

enum { kHeads = 4, kLength = 300, kDim = 64, kElements = kHeads * kLength * kDim };

static const char* const kSource =
    "kernel void make_query(global const float* hidden, global float* query) {\n"
    "  query[get_global_id(0)] = 2.0f * hidden[get_global_id(0)];\n"
    "}\n"
    "kernel void add_residual(global const float* hidden, global float* output) {\n"
    "  output[get_global_id(0)] += hidden[get_global_id(0)];\n"
    "}\n";

static void check_cl(cl_int code, const char* what) {
  if (code == CL_SUCCESS) return;
  fprintf(stderr, "%s failed with code %d\n", what, code);
  exit(1);
}

static void check(clattn_status status) {
  if (status == CLATTN_STATUS_SUCCESS) return;
  fprintf(stderr, "clattn: %s: %s\n", clattn_status_name(status), clattn_last_error());
  exit(1);
}

static float random_element(void) { return (float)(4.0 * rand() / RAND_MAX - 2.0); }

static cl_mem make_buffer(cl_context context, float* data) {
  cl_int code = CL_SUCCESS;
  const cl_mem_flags flags = CL_MEM_READ_WRITE | (data ? CL_MEM_COPY_HOST_PTR : 0);
  const cl_mem buffer = clCreateBuffer(context, flags, kElements * sizeof(float), data, &code);
  check_cl(code, "clCreateBuffer");
  return buffer;
}

// Launches an application kernel of two buffers after `wait` (which may be null).
static cl_event launch(cl_program program, const char* name, cl_command_queue queue, cl_mem first,
                       cl_mem second, cl_event wait) {
  const size_t global = kElements;
  cl_event event = NULL;
  cl_int code = CL_SUCCESS;
  const cl_kernel kernel = clCreateKernel(program, name, &code);
  check_cl(code, name);
  check_cl(clSetKernelArg(kernel, 0, sizeof first, &first), name);
  check_cl(clSetKernelArg(kernel, 1, sizeof second, &second), name);
  check_cl(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &global, NULL, wait ? 1 : 0,
                                  wait ? &wait : NULL, &event),
           name);
  clReleaseKernel(kernel);
  return event;
}

// Whether result - hidden is causal attention over query = 2 * hidden.
static int is_right(const clattn_problem* problem, const float* hidden, const float* key,
                    const float* value, const float* result) {
  static float query[kElements];
  static double actual[kElements], exact[kElements], plain[kElements];
  for (int i = 0; i < kElements; ++i) {
    query[i] = 2.0f * hidden[i];
    actual[i] = (double)result[i] - hidden[i];
  }
  clattn_reference reference;
  check(clattn_reference_init(&reference, sizeof reference));
  reference.query = query;
  reference.key = key;
  reference.value = value;
  reference.query_bytes = reference.key_bytes = reference.value_bytes = sizeof query;
  reference.output = exact;
  reference.output_count = kElements;
  check(clattn_reference_compute(problem, &reference));
  reference.precision = CLATTN_REFERENCE_PRECISION_STORAGE;
  reference.output = plain;
  check(clattn_reference_compute(problem, &reference));
  clattn_comparison comparison;
  comparison.struct_size = sizeof comparison;
  check(clattn_reference_compare(actual, exact, plain, kElements, 1e-5, &comparison));
  printf("largest error %.2e, limit %.2e\n", comparison.max_error, comparison.limit);
  return comparison.pass;
}

int main(void) {
  // The application as it was before clattn: device, context, queue, program, buffers.
  cl_platform_id platform;
  cl_device_id device;
  if (clGetPlatformIDs(1, &platform, NULL) != CL_SUCCESS ||
      clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL) != CL_SUCCESS) {
    printf("skipped: no OpenCL device\n");
    return 77;
  }
  cl_int code = CL_SUCCESS;
  const cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &code);
  check_cl(code, "clCreateContext");
  const cl_command_queue queue = clCreateCommandQueue(context, device, 0, &code);
  check_cl(code, "clCreateCommandQueue");
  const char* source = kSource;
  const cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, &code);
  check_cl(code, "clCreateProgramWithSource");
  check_cl(clBuildProgram(program, 1, &device, NULL, NULL, NULL), "clBuildProgram");
  static float hidden[kElements], key[kElements], value[kElements], result[kElements];
  for (int i = 0; i < kElements; ++i) {
    hidden[i] = random_element();
    key[i] = random_element();
    value[i] = random_element();
  }
  const cl_mem hidden_buffer = make_buffer(context, hidden);
  const cl_mem query_buffer = make_buffer(context, NULL);
  const cl_mem key_buffer = make_buffer(context, key);
  const cl_mem value_buffer = make_buffer(context, value);
  const cl_mem output_buffer = make_buffer(context, NULL);

  // Once: an engine in this context, and a plan. They may be used from every thread.
  clattn_engine* engine = NULL;
  check(clattn_engine_create_from_context(context, device, NULL, &engine));
  clattn_problem problem;
  check(clattn_problem_init(&problem, sizeof problem));
  problem.heads = problem.kv_heads = kHeads;
  problem.query_len = problem.key_len = kLength;
  problem.head_dim = problem.value_dim = kDim;
  check(clattn_mask_create_causal(CLATTN_CAUSAL_ALIGN_BOTTOM_RIGHT, &problem.mask));
  clattn_plan* plan = NULL;
  check(clattn_plan_create(engine, &problem, NULL, &plan));

  // Every time: launches that follow each other by events, so that any queue would do.
  clattn_tensors tensors;
  check(clattn_tensors_init(&tensors, sizeof tensors));
  tensors.query.buffer = query_buffer;
  tensors.key.buffer = key_buffer;
  tensors.value.buffer = value_buffer;
  tensors.output.buffer = output_buffer;
  cl_event attended = NULL;
  const cl_event made = launch(program, "make_query", queue, hidden_buffer, query_buffer, NULL);
  check(clattn_plan_enqueue(plan, queue, &tensors, 1, &made, &attended));
  const cl_event added =
      launch(program, "add_residual", queue, hidden_buffer, output_buffer, attended);
  check_cl(
      clEnqueueReadBuffer(queue, output_buffer, CL_TRUE, 0, sizeof result, result, 1, &added, NULL),
      "clEnqueueReadBuffer");
  const int right = is_right(&problem, hidden, key, value, result);

  clattn_plan_release(plan);
  clattn_mask_release(problem.mask);
  clattn_engine_release(engine);
  const cl_event events[] = {made, attended, added};
  for (int i = 0; i < 3; ++i) clReleaseEvent(events[i]);
  const cl_mem buffers[] = {hidden_buffer, query_buffer, key_buffer, value_buffer, output_buffer};
  for (int i = 0; i < 5; ++i) clReleaseMemObject(buffers[i]);
  clReleaseProgram(program);
  clReleaseCommandQueue(queue);
  clReleaseContext(context);
  return right ? 0 : 1;
}
