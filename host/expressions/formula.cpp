#include "host/expressions/formula.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "host/expressions/names.hpp"
#include "host/invalid.hpp"

namespace clattn::expressions {
namespace {

const char* element_name(ElementType type) {
  switch (type) {
    case ElementType::u8:
      return "uchar";
    case ElementType::i32:
      return "int";
    default:
      return "float";
  }
}

// A float as the shortest text that gives it back; with a point, or JSON would make it an integer.
std::string real_text(double value) {
  if (std::isnan(value)) return "\"nan\"";
  if (std::isinf(value)) return value > 0 ? "\"inf\"" : "\"-inf\"";
  return fmt::format("{:#}", static_cast<float>(value));
}

std::string buffer_json(const Buffer& buffer) {
  const char* type = buffer.type == ElementType::u8    ? "u8"
                     : buffer.type == ElementType::i32 ? "i32"
                                                       : "f32";
  if (buffer.bound_at_launch()) {
    return fmt::format(R"({{"type":"{}","count":{}}})", type, buffer.count);
  }
  std::string values;
  for (std::int64_t i = 0; i < buffer.count; ++i) {
    const double value = load(buffer, i);
    if (i > 0) values += ',';
    values += buffer.type == ElementType::f32 ? real_text(value) : fmt::format("{}", value);
  }
  // Numbers alone say whether they are i32 or f32.
  if (buffer.type != ElementType::u8) return fmt::format("[{}]", values);
  return fmt::format(R"({{"type":"u8","values":[{}]}})", values);
}

}  // namespace

Formula::Formula(Expression expression, bool with_score)
    : expression_(std::move(expression)), with_score_(with_score) {
  validate(expression_);
  tree_ = parse(expression_, with_score);
  for (const auto& buffer : expression_.buffers) {
    auto& bounds = buffers_.emplace_back();
    if (!with_score && !opaque() && !buffer->bound_at_launch()) bounds.emplace(buffer);
  }
}

bool Formula::names(Variable variable) const {
  return std::find(tree_.variables.begin(), tree_.variables.end(), variable) !=
         tree_.variables.end();
}

std::vector<std::int64_t> Formula::steps(Variable variable, std::int64_t length) const {
  constexpr std::int64_t kNearest = 16;  // on average
  std::vector<std::int64_t> steps;
  const auto is_variable = [&](std::int32_t index) {
    const Node& node = tree_.nodes[index];
    return node.op == Operator::variable && node.operands[0] == static_cast<int>(variable);
  };
  for (const Node& node : tree_.nodes) {
    std::vector<std::int64_t> found;
    if (node.op == Operator::element && is_variable(node.operands[1])) {
      const Buffer& buffer = *expression_.buffers[node.operands[0]];
      if (buffer.bound_at_launch()) continue;
      for (std::int64_t i = 1; i < std::min(length, buffer.count); ++i) {
        if (load(buffer, i) != load(buffer, i - 1)) found.push_back(i);
      }
    }
    const bool shift = node.op == Operator::shift_right;
    if ((shift || node.op == Operator::divide || node.op == Operator::remainder) &&
        is_variable(node.operands[0]) && tree_.nodes[node.operands[1]].op == Operator::literal) {
      const double constant = tree_.nodes[node.operands[1]].value;
      const double period = shift ? std::ldexp(1.0, static_cast<int>(constant) & 31) : constant;
      for (double step = period; period >= kNearest && step < double(length); step += period) {
        found.push_back(static_cast<std::int64_t>(step));
      }
    }
    if (static_cast<std::int64_t>(found.size()) * kNearest > length) continue;
    std::vector<std::int64_t> merged;
    std::ranges::set_union(steps, found, std::back_inserter(merged));
    steps = std::move(merged);
  }
  return steps;
}

void Formula::fail(const Node& node, const std::string& message) const {
  refuse(expression_.text, node.offset, message);
}

double Formula::evaluate(const Point& point, const Extent& extent, double score,
                         const char* instead) const {
  if (opaque()) {
    throw Error(ErrorCategory::unsupported,
                fmt::format("{}: the host does not understand what stands here; to hold the "
                            "expression against the reference, give the same as a C++ function "
                            "too, the parameter `{}`",
                            tree_.opaque, instead));
  }
  const Variables<double> variables = {double(point.batch),
                                       double(point.head),
                                       double(point.query),
                                       double(point.key),
                                       double(extent.query_len),
                                       double(extent.key_len),
                                       score};
  try {
    return value(static_cast<std::int32_t>(tree_.nodes.size()) - 1, variables);
  } catch (const Error& error) {
    throw Error(error.category(),
                fmt::format("{}, at batch {}, head {}, query {}, key {}", error.what(), point.batch,
                            point.head, point.query, point.key));
  }
}

double Formula::value(std::int32_t index, const Variables<double>& variables) const {
  const Node& node = tree_.nodes[static_cast<std::size_t>(index)];
  const auto operand = [&](std::size_t i) { return value(node.operands[i], variables); };
  const auto operand_type = [&] {
    return tree_.nodes[static_cast<std::size_t>(node.operands[0])].type;
  };
  switch (node.op) {
    case Operator::literal:
      return node.value;
    case Operator::variable:
      return variables[static_cast<std::size_t>(node.operands[0])];
    case Operator::element:
      return element(node, operand(1));
    case Operator::convert:
      return expressions::convert(operand(0), node.type, operand_type());
    case Operator::logical_and:
      return operand(0) != 0 && operand(1) != 0;
    case Operator::logical_or:
      return operand(0) != 0 || operand(1) != 0;
    case Operator::conditional:
      return operand(0) != 0 ? operand(1) : operand(2);
    default:
      break;
  }
  const double a = operand(0);
  const double b = node.operands[1] < 0 ? 0 : operand(1);
  const bool divides = node.op == Operator::divide || node.op == Operator::remainder;
  if (divides && b == 0 && node.type != Type::float_type) {
    fail(node, fmt::format("{} is divided by 0", a));
  }
  return compute(node.op, node.type, a, b);
}

double Formula::element(const Node& node, double index) const {
  const Buffer& buffer = *expression_.buffers[static_cast<std::size_t>(node.operands[0])];
  if (buffer.bound_at_launch()) {
    fail(node, fmt::format("the values of \"{}\" are bound at launch, but the reference needs them",
                           buffer.name));
  }
  if (index < 0 || index >= static_cast<double>(buffer.count)) {
    fail(node, fmt::format("\"{}\" has {} elements, but element {} is read", buffer.name,
                           buffer.count, index));
  }
  return load(buffer, static_cast<std::int64_t>(index));
}

Interval Formula::bounds(const Variables<Interval>& variables) const {
  return range(static_cast<std::int32_t>(tree_.nodes.size()) - 1, variables);
}

Interval Formula::range(std::int32_t index, const Variables<Interval>& variables) const {
  const Node& node = tree_.nodes[static_cast<std::size_t>(index)];
  const auto operand = [&](std::size_t i) { return range(node.operands[i], variables); };
  const auto operand_type = [&] {
    return tree_.nodes[static_cast<std::size_t>(node.operands[0])].type;
  };
  switch (node.op) {
    case Operator::literal:
      return {node.value, node.value};
    case Operator::variable:
      return variables[static_cast<std::size_t>(node.operands[0])];
    case Operator::element: {
      const auto& buffer = buffers_[static_cast<std::size_t>(node.operands[0])];
      if (!buffer) return whole(node.type);
      // Elements that don't exist are never read.
      const auto count = expression_.buffers[static_cast<std::size_t>(node.operands[0])]->count;
      const Interval at = operand(1);
      const double first = std::max(at.low, 0.0);
      const double last = std::min(at.high, static_cast<double>(count - 1));
      if (first > last) return whole(node.type);
      return buffer->over(static_cast<std::int64_t>(first), static_cast<std::int64_t>(last) + 1);
    }
    case Operator::convert:
      return expressions::convert(operand(0), node.type, operand_type());
    case Operator::logical_and:
    case Operator::logical_or: {
      const bool stops_at = node.op == Operator::logical_or;
      const Interval a = operand(0);
      const bool always = stops_at ? !a.may_be_false() : !a.may_be_true();
      const bool never = stops_at ? !a.may_be_true() : !a.may_be_false();
      if (always) return {double(stops_at), double(stops_at)};
      const Interval b = operand(1);
      const Interval second = {b.may_be_false() ? 0.0 : 1.0, b.may_be_true() ? 1.0 : 0.0};
      return never ? second : hull(second, {double(stops_at), double(stops_at)});
    }
    case Operator::conditional: {
      const Interval condition = operand(0);
      if (!condition.may_be_false()) return operand(1);
      if (!condition.may_be_true()) return operand(2);
      return hull(operand(1), operand(2));
    }
    default:
      return compute(node.op, node.type, operand(0),
                     node.operands[1] < 0 ? Interval{} : operand(1));
  }
}

std::string Formula::call(ExpressionWriter& writer, const std::string& result) const {
  std::string body;
  for (const auto& buffer : expression_.buffers) {
    body += fmt::format("  __global const {} *{} = {};\n", element_name(buffer->type), buffer->name,
                        writer.buffer(buffer));
  }
  for (const Scalar& scalar : expression_.scalars) {
    if (const auto* real = std::get_if<float>(&scalar.value)) {
      body += fmt::format("  const float {} = {};\n", scalar.name, writer.real(*real));
    } else {
      body += fmt::format("  const int {} = {};\n", scalar.name,
                          writer.integer(std::get<std::int32_t>(scalar.value)));
    }
  }
  // On lines of its own, for a compiler to tell the user's lines and columns.
  body += fmt::format("  return (\n#line 1 \"expression\"\n{}\n  ){};", expression_.text,
                      result == "int" ? " != 0" : "");
  writer.note(expression_.text);
  return fmt::format("{}(hooks, {}batch, head, query, key, query_len, key_len)",
                     writer.function(result, body), with_score_ ? "score, " : "");
}

std::string Formula::to_json() const {
  std::string text = R"({"opencl":{"expression":)" + nlohmann::json(expression_.text).dump();
  const auto append = [&](const char* key, const auto& entries, const auto& write) {
    if (entries.empty()) return;
    std::string separator = fmt::format(",\"{}\":{{", key);
    for (const auto& entry : entries) {
      text += separator + write(entry);
      separator = ",";
    }
    text += '}';
  };
  append("buffers", expression_.buffers, [](const auto& buffer) {
    return fmt::format("\"{}\":{}", buffer->name, buffer_json(*buffer));
  });
  append("scalars", expression_.scalars, [](const Scalar& scalar) {
    const auto* real = std::get_if<float>(&scalar.value);
    return fmt::format(
        "\"{}\":{}", scalar.name,
        real ? real_text(*real) : std::to_string(std::get<std::int32_t>(scalar.value)));
  });
  return text + "}}";
}

}  // namespace clattn::expressions
