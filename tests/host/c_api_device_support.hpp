// The C API on a device, as an application has it: a context and a queue of its own on the best
// device, an engine in it, and tensors that are held against the CPU reference.
#pragma once

#include <clattn/clattn.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/host/c_api_support.hpp"

namespace clattn::test {

using Bytes = std::vector<unsigned char>;

inline Bytes random_storage(int32_t type, int64_t count, std::mt19937& random) {
  std::normal_distribution<double> normal;
  size_t size = 0;
  expect_success(clattn_data_type_get_size(type, &size));
  Bytes storage(static_cast<size_t>(count) * size);
  for (int64_t i = 0; i < count; ++i) clattn_element_store(type, normal(random), storage.data(), i);
  return storage;
}

inline std::vector<double> to_doubles(int32_t type, const Bytes& storage, int64_t count) {
  std::vector<double> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) clattn_element_load(type, storage.data(), i, &values[i]);
  return values;
}

// A context with one queue on the best device, and an engine in it.
class CApiDevice : public testing::Test {
 protected:
  void SetUp() override {
    device_ = sized<clattn_device>();
    if (clattn_device_select(nullptr, &device_) == CLATTN_STATUS_UNSUPPORTED) {
      GTEST_SKIP() << clattn_last_error();
    }
    context_ = make_context();
    queue_ = clCreateCommandQueue(context_, device_.id, CL_QUEUE_PROFILING_ENABLE, nullptr);
    ASSERT_NE(queue_, nullptr);
    expect_success(clattn_engine_options_init(&options_, sizeof options_));
    options_.cache_dir = "";
    expect_success(clattn_engine_create_from_context(context_, device_.id, &options_, &engine_));
    ASSERT_NE(engine_, nullptr);
  }

  void TearDown() override {
    clattn_engine_release(engine_);
    for (cl_mem buffer : buffers_) clReleaseMemObject(buffer);
    if (queue_) clReleaseCommandQueue(queue_);
    if (context_) clReleaseContext(context_);
  }

  cl_context make_context() const {
    return clCreateContext(nullptr, 1, &device_.id, nullptr, nullptr, nullptr);
  }

  cl_mem upload(Bytes bytes) {
    cl_mem buffer = clCreateBuffer(context_, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes.size(),
                                   bytes.data(), nullptr);
    EXPECT_NE(buffer, nullptr);
    buffers_.push_back(buffer);
    return buffer;
  }

  Bytes download(cl_mem buffer, cl_command_queue queue) const {
    size_t size = 0;
    clGetMemObjectInfo(buffer, CL_MEM_SIZE, sizeof size, &size, nullptr);
    Bytes bytes(size);
    EXPECT_EQ(
        clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, size, bytes.data(), 0, nullptr, nullptr),
        CL_SUCCESS);
    return bytes;
  }

  static clattn_problem make_problem() {
    clattn_problem problem;
    expect_success(clattn_problem_init(&problem, sizeof problem));
    problem.batch = 2;
    problem.heads = 4;
    problem.kv_heads = 2;
    problem.query_len = 37;
    problem.key_len = 53;
    problem.head_dim = 64;
    problem.value_dim = 40;
    problem.lse = 1;
    return problem;
  }

  static int64_t span(const clattn_problem& problem, clattn_role role) {
    clattn_tensor_shape shape{};
    expect_success(clattn_problem_get_tensor_shape(&problem, role, &shape));
    return shape.span;
  }

  // Random inputs and poisoned results, on the host and on the device.
  struct Data {
    Bytes query, key, value, output, lse;
    clattn_tensors tensors;
  };

  Data make_data(const clattn_problem& problem, unsigned seed) {
    std::mt19937 random(seed);
    const auto type = problem.data_type;
    Data data;
    data.query = random_storage(type, span(problem, CLATTN_ROLE_QUERY), random);
    data.key = random_storage(type, span(problem, CLATTN_ROLE_KEY), random);
    data.value = random_storage(type, span(problem, CLATTN_ROLE_VALUE), random);
    data.output = random_storage(type, span(problem, CLATTN_ROLE_OUTPUT), random);
    data.lse.assign(4 * static_cast<size_t>(problem.batch * problem.heads * problem.query_len),
                    0xff);
    expect_success(clattn_tensors_init(&data.tensors, sizeof data.tensors));
    data.tensors.query.buffer = upload(data.query);
    data.tensors.key.buffer = upload(data.key);
    data.tensors.value.buffer = upload(data.value);
    data.tensors.output.buffer = upload(Bytes(data.output.size(), 0xff));
    data.tensors.lse.buffer = upload(data.lse);
    return data;
  }

  // Holds what the device wrote against the reference. The strides must be contiguous bhld.
  void expect_correct(const clattn_problem& problem, const Data& data, cl_command_queue queue) {
    const int64_t rows = problem.batch * problem.heads * problem.query_len;
    const int64_t elements = rows * problem.value_dim;
    std::vector<double> exact(elements), plain(elements), lse(rows), plain_lse(rows);
    auto reference = sized<clattn_reference>();
    reference.query = data.query.data();
    reference.query_bytes = data.query.size();
    reference.key = data.key.data();
    reference.key_bytes = data.key.size();
    reference.value = data.value.data();
    reference.value_bytes = data.value.size();
    reference.output = exact.data();
    reference.lse = lse.data();
    reference.output_count = exact.size();
    reference.lse_count = lse.size();
    expect_success(clattn_reference_compute(&problem, &reference));
    reference.precision = CLATTN_REFERENCE_PRECISION_STORAGE;
    reference.output = plain.data();
    reference.lse = plain_lse.data();
    expect_success(clattn_reference_compute(&problem, &reference));

    const auto check = [&](int32_t type, cl_mem buffer, const std::vector<double>& expected,
                           const std::vector<double>& low, double absolute) {
      const auto count = static_cast<int64_t>(expected.size());
      const std::vector<double> actual = to_doubles(type, download(buffer, queue), count);
      auto comparison = sized<clattn_comparison>();
      expect_success(clattn_reference_compare(actual.data(), expected.data(), low.data(),
                                              expected.size(), absolute, &comparison));
      EXPECT_TRUE(comparison.pass)
          << "element " << comparison.worst << " is " << comparison.worst_actual
          << ", but should be " << comparison.worst_expected << "; limit " << comparison.limit;
    };
    const double roundoff = problem.data_type == CLATTN_DATA_TYPE_F32   ? 1e-5
                            : problem.data_type == CLATTN_DATA_TYPE_F16 ? 1e-3
                                                                        : 8e-3;
    check(problem.data_type, data.tensors.output.buffer, exact, plain, roundoff);
    if (problem.lse) check(CLATTN_DATA_TYPE_F32, data.tensors.lse.buffer, lse, plain_lse, 1e-5);
  }

  clattn_plan* make_plan(const clattn_problem& problem) const {
    clattn_plan* plan = nullptr;
    expect_success(clattn_plan_create(engine_, &problem, nullptr, &plan));
    return plan;
  }

  clattn_device device_;
  clattn_engine_options options_;
  cl_context context_ = nullptr;
  cl_command_queue queue_ = nullptr;
  clattn_engine* engine_ = nullptr;
  std::vector<cl_mem> buffers_;
};

}  // namespace clattn::test
