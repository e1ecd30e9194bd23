// A bias for each pair, as a tensor that broadcasts along dimensions of size 1.
#include <fmt/format.h>

#include <clattn/reference.hpp>
#include <clattn/score.hpp>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "host/expressions/names.hpp"
#include "host/invalid.hpp"

namespace clattn {
namespace {

DataType data_type(ElementType type) {
  return type == ElementType::f16    ? DataType::f16
         : type == ElementType::bf16 ? DataType::bf16
                                     : DataType::f32;
}

// One dimension of the tensor: its size, the same of the problem, and how both are called.
struct Dimension {
  const char* name;
  std::int64_t size;
  std::int64_t wanted;
};

class Bias final : public ScoreNode {
 public:
  Bias(std::shared_ptr<const Buffer> buffer, const BiasShape& shape)
      : buffer_(std::move(buffer)), shape_(shape) {}

  double apply(double score, const Point& point, const Extent&) const override {
    if (buffer_->bound_at_launch()) {
      invalid("the values of bias \"{}\" are bound at launch, but the reference needs them",
              buffer_->name);
    }
    const auto index = [](std::int64_t size, std::int64_t at) { return size > 1 ? at : 0; };
    std::int64_t element = index(shape_.batch, point.batch);
    element = element * shape_.heads + index(shape_.heads, point.head);
    element = element * shape_.query_len + index(shape_.query_len, point.query);
    element = element * shape_.key_len + index(shape_.key_len, point.key);
    return score + load_element(data_type(buffer_->type), buffer_->values.data(), element);
  }

  // Horner's scheme over the dimensions that don't broadcast: which these are is in the text, as it
  // is so in every launch of a model, and saves most of the arithmetic of a pair.
  std::string expression(ExpressionWriter& writer) const override {
    const std::pair<const char*, std::int64_t> dimensions[] = {{"batch", shape_.batch},
                                                               {"head", shape_.heads},
                                                               {"query", shape_.query_len},
                                                               {"key", shape_.key_len}};
    const bool large = buffer_->count > std::numeric_limits<std::int32_t>::max();
    std::string index;
    for (const auto& [name, size] : dimensions) {
      if (size == 1) continue;
      if (index.empty()) {
        index = large ? fmt::format("(long){}", name) : name;
      } else {
        index = fmt::format("({}) * {} + {}", index, writer.integer(size), name);
      }
    }
    if (index.empty()) index = "0";
    const std::string values = writer.buffer(buffer_);
    switch (buffer_->type) {
      case ElementType::f16:
        return fmt::format("score + vload_half({}, {})", index, values);
      case ElementType::bf16:
        return fmt::format("score + as_float((uint){}[{}] << 16)", values, index);
      default:
        return fmt::format("score + {}[{}]", values, index);
    }
  }

  void validate(const Extent& extent, std::int64_t batch, std::int64_t heads) const override {
    for (const auto& [name, size, wanted] :
         {Dimension{"batch", shape_.batch, batch}, Dimension{"heads", shape_.heads, heads},
          Dimension{"q_len", shape_.query_len, extent.query_len},
          Dimension{"kv_len", shape_.key_len, extent.key_len}}) {
      if (size != 1 && size != wanted) {
        invalid("bias \"{}\" has {} {}, but the problem {} (or 1 for all)", buffer_->name, name,
                size, wanted);
      }
    }
  }

  std::string to_json() const override {
    nlohmann::ordered_json bias = {
        {"name", buffer_->name},     {"type", to_string(data_type(buffer_->type))},
        {"batch", shape_.batch},     {"heads", shape_.heads},
        {"q_len", shape_.query_len}, {"kv_len", shape_.key_len}};
    if (!buffer_->bound_at_launch()) {
      auto& values = bias["values"];
      for (std::int64_t i = 0; i < buffer_->count; ++i) {
        const double value = load_element(data_type(buffer_->type), buffer_->values.data(), i);
        if (std::isfinite(value)) {
          values.push_back(value);
        } else {
          values.push_back(fmt::format("{}", value));
        }
      }
    }
    return nlohmann::ordered_json{{"bias", std::move(bias)}}.dump();
  }

 private:
  std::shared_ptr<const Buffer> buffer_;
  BiasShape shape_;
};

}  // namespace

Score bias_score(std::shared_ptr<const Buffer> buffer, const BiasShape& shape) {
  if (!buffer) invalid("the buffer of a bias is null");
  if (buffer->type == ElementType::u8 || buffer->type == ElementType::i32) {
    invalid("bias \"{}\" is of type {}, but must be f32, f16 or bf16", buffer->name,
            buffer->type == ElementType::u8 ? "u8" : "i32");
  }
  expressions::validate(*buffer);
  std::int64_t elements = 1;
  for (std::int64_t size : {shape.batch, shape.heads, shape.query_len, shape.key_len}) {
    // A size divides the count, or the product may overflow before it is compared.
    if (size < 1 || buffer->count % size != 0 || elements > buffer->count / size) {
      elements = 0;
      break;
    }
    elements *= size;
  }
  if (elements != buffer->count) {
    invalid("bias \"{}\" has {} elements, but its shape is [{}, {}, {}, {}]", buffer->name,
            buffer->count, shape.batch, shape.heads, shape.query_len, shape.key_len);
  }
  return std::make_shared<Bias>(std::move(buffer), shape);
}

}  // namespace clattn
