// What the OpenCL C expressions of masks and score modifiers are made of, and how users bring their
// own: a text, with buffers and scalars that it calls by name.
#pragma once

#include <clattn/export.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace clattn {

// Elements of a named buffer; u8, i32 and f32 are uchar, int and float in an expression. f16 and
// bf16 are for the library's own modifiers only: an expression of a user can't name such a buffer.
enum class ElementType { u8, i32, f32, f16, bf16 };

CLATTN_API std::size_t size_of(ElementType type);  // bytes

// A one-dimensional array in device memory that an expression reads as name[index]; it must not
// read beyond the count. Buffers with values belong to the plan; one without is bound at each
// launch, by its name, with Tensors::buffers, and cannot be evaluated on the host.
struct Buffer {
  std::string name;
  ElementType type = ElementType::f32;
  std::int64_t count = 0;
  std::vector<std::byte> values;  // count elements, or empty: bound at launch

  bool bound_at_launch() const { return values.empty() && count > 0; }
};

// A constant of a plan, passed as an argument: another value needs no other program.
struct Scalar {
  std::string name;
  std::variant<std::int32_t, float> value;
};

// An expression of a user. Names are OpenCL C identifiers, differ from each other, and are none of
// the expression's variables, OpenCL C's keywords or its built-in functions. At most 8 buffers, of
// u8, i32 or f32 and not empty, and 8 scalars, finite. Numbers with a point are floats, but
// some compilers take 0.5 for a double among a function's arguments: write 0.5f there.
//
// The host evaluates expressions of int, uint and float numbers, variables, named scalars and
// elements of named buffers; with the operators of C but assignments and pointers; and the
// functions abs, min, max, clamp, fmin, fmax, fabs, floor, ceil, round, sqrt, exp, exp2, log, log2,
// pow, sin, cos, tanh, fmod, convert_int and convert_float. As in OpenCL C, integers wrap at 32
// bits, abs is unsigned, and the arguments of a function are of one type: min(key, 0.5f) is
// refused. Without a C++ function beside them, other texts run on devices only.
struct Expression {
  std::string text;
  std::vector<std::shared_ptr<const Buffer>> buffers;
  std::vector<Scalar> scalars;
};

// Collects what an expression needs beside its text, so that numbers reach kernels as arguments and
// a window of another size needs no other program. Every method returns OpenCL C text that is valid
// in the expression: an operand that needs no parentheses.
class CLATTN_API ExpressionWriter {
 public:
  // Throws Error (unsupported) when the value does not fit 32 bits.
  std::string integer(std::int64_t value);
  std::string real(float value);
  // A `__global const int *` to the values.
  std::string table(std::span<const std::int32_t> values);
  // A pointer to the elements; the same buffer is collected once. Throws Error (unsupported) beyond
  // CLATTN_HOOK_BUFFERS buffers, and (invalid_argument) for two different ones of one name that are
  // both bound at launch.
  std::string buffer(const std::shared_ptr<const Buffer>& buffer);
  // Defines a function of the variables (batch, head, query, key, query_len, key_len and, if
  // `result` is "float", also score) with this body and returns its name. Equal functions are
  // defined once. It is called as name(hooks, batch, head, query, key, query_len, key_len) or
  // name(hooks, score, batch, ...).
  std::string function(const std::string& result, const std::string& body);
  // Keeps a user's text, for the error of a failed build.
  void note(const std::string& text) { notes_.push_back(text); }

  const std::vector<std::int32_t>& values() const { return values_; }
  const std::vector<std::int32_t>& tables() const { return tables_; }
  const std::vector<std::shared_ptr<const Buffer>>& buffers() const { return buffers_; }
  const std::vector<std::pair<std::string, std::string>>& functions() const { return functions_; }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  std::vector<std::int32_t> values_;  // the first CLATTN_HOOK_VALUES numbers; others are in tables_
  std::vector<std::int32_t> tables_;
  std::vector<std::shared_ptr<const Buffer>> buffers_;
  std::vector<std::pair<std::string, std::string>> functions_;  // result type, body
  std::vector<std::string> notes_;
};

}  // namespace clattn
