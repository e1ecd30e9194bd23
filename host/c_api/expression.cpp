// Expressions in both directions: those that users write, and what kernels of their own need to
// evaluate a mask or a modifier.
#include <clattn/expression.hpp>

#include "host/c_api/convert.hpp"
#include "host/planning/hooks.hpp"
#include "runtime/program.hpp"

namespace clattn::c_api {
namespace {

static_assert(same(ElementType::u8, CLATTN_ELEMENT_TYPE_U8) &&
              same(ElementType::i32, CLATTN_ELEMENT_TYPE_I32) &&
              same(ElementType::f32, CLATTN_ELEMENT_TYPE_F32) &&
              same(ElementType::f16, CLATTN_ELEMENT_TYPE_F16) &&
              same(ElementType::bf16, CLATTN_ELEMENT_TYPE_BF16));

Scalar read_scalar(const clattn_scalar& source) {
  require(source.name, "the name of a scalar");
  if (source.type == CLATTN_ELEMENT_TYPE_I32) return {source.name, source.integer};
  if (source.type == CLATTN_ELEMENT_TYPE_F32) return {source.name, source.real};
  invalid("the type of scalar \"{}\" is {}, but must be {} (i32) or {} (f32)", source.name,
          source.type, static_cast<int>(CLATTN_ELEMENT_TYPE_I32),
          static_cast<int>(CLATTN_ELEMENT_TYPE_F32));
}

// What the `owned` of hooks points to.
struct HookParts {
  ExpressionWriter writer;
  std::string helpers;
  std::string functions;
  std::string expression;
  std::vector<clattn_buffer> buffers;
};

}  // namespace

std::shared_ptr<const Buffer> read_buffer(const clattn_buffer& source) {
  require(source.name, "the name of a buffer");
  Buffer buffer{
      source.name, to_enum(source.type, ElementType::bf16, "element type"), source.count, {}};
  if (source.count < 0) invalid("the count of buffer \"{}\" is {}", source.name, source.count);
  if (source.values) {
    const auto* bytes = static_cast<const std::byte*>(source.values);
    buffer.values.assign(bytes, bytes + source.count * size_of(buffer.type));
  }
  return std::make_shared<const Buffer>(std::move(buffer));
}

Expression read_expression(const clattn_expression* source) {
  require_struct(source, "expression", "clattn_expression");
  require(source->text, "the text of the expression");
  Expression expression{source->text, {}, {}};
  for (const clattn_buffer& buffer : read_array(source->buffers, source->buffer_count, "buffers")) {
    expression.buffers.push_back(read_buffer(buffer));
  }
  for (const clattn_scalar& scalar : read_array(source->scalars, source->scalar_count, "scalars")) {
    expression.scalars.push_back(read_scalar(scalar));
  }
  return expression;
}

void write_hooks(ExpressionWriter writer, std::string expression, clattn_hooks& target) {
  auto parts = std::make_unique<HookParts>();
  parts->helpers = kernel_file("common/masks.cl").text + kernel_file("common/scores.cl").text;
  parts->functions = define_functions(writer);
  parts->expression = std::move(expression);
  parts->writer = std::move(writer);
  for (const std::shared_ptr<const Buffer>& buffer : parts->writer.buffers()) {
    parts->buffers.push_back({buffer->name.c_str(),
                              buffer->bound_at_launch() ? nullptr : buffer->values.data(),
                              buffer->count, static_cast<std::int32_t>(buffer->type)});
  }
  target.helpers = parts->helpers.c_str();
  target.functions = parts->functions.c_str();
  target.expression = parts->expression.c_str();
  target.values = parts->writer.values().data();
  target.value_count = parts->writer.values().size();
  target.tables = parts->writer.tables().data();
  target.table_count = parts->writer.tables().size();
  target.buffers = parts->buffers.data();
  target.buffer_count = parts->buffers.size();
  target.owned = parts.release();
}

}  // namespace clattn::c_api

using namespace clattn::c_api;

clattn_status clattn_expression_init(clattn_expression* expression, size_t struct_size) {
  return init(expression, struct_size, "expression", "clattn_expression", {});
}

void clattn_hooks_release_parts(clattn_hooks* hooks) {
  if (!hooks || !hooks->owned) return;
  delete static_cast<HookParts*>(hooks->owned);
  *hooks = {
      hooks->struct_size, nullptr, nullptr, nullptr, nullptr, 0, nullptr, 0, nullptr, 0, nullptr};
}
