// Users' expressions on the host: what they evaluate to, against the same text compiled as C++; and
// how mistakes are told.
#include <clattn/expression.hpp>
#include <clattn/mask.hpp>
#include <clattn/score.hpp>
#include <climits>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/host/expression_support.hpp"

namespace clattn {
namespace {

using test::kCount;
using test::make_buffer;
using test::Names;
using test::Random;
using test::uniform;

double evaluate(const Expression& expression, const Point& point, const Extent& extent = {64, 64},
                double score = 0) {
  return expression_score(expression)->apply(score, point, extent);
}
double evaluate(const std::string& text, const Point& point = {}) {
  return evaluate(Expression{text, {}, {}}, point);
}

// --- Values

// OpenCL C's functions, where C++'s differ.
namespace opencl {
unsigned abs(int x) { return x < 0 ? 0u - static_cast<unsigned>(x) : static_cast<unsigned>(x); }
int min(int x, int y) { return std::min(x, y); }
int max(int x, int y) { return std::max(x, y); }
double min(double x, double y) { return std::min(x, y); }
int clamp(int x, int low, int high) { return std::clamp(x, low, high); }
double clamp(double x, double low, double high) { return std::clamp(x, low, high); }
int convert_int(double x) { return static_cast<int>(x); }
double convert_float(int x) { return x; }
}  // namespace opencl

struct Inputs {
  const Names& names;
  Point point;
  Extent extent;
  double score;
};

// One text, for our evaluator and for the C++ compiler. A float is a double in both.
#define EXPRESSION(...)                                                             \
  {                                                                                 \
#__VA_ARGS__, [](const Inputs& inputs) -> double {                                \
      using namespace opencl;                                                         \
      using std::exp, std::exp2, std::log, std::log2, std::sqrt, std::sin, std::cos;  \
      using std::fabs, std::floor, std::ceil, std::round, std::fmin, std::fmax;       \
      using std::pow, std::tanh, std::fmod;                                           \
      [[maybe_unused]] const auto& [bytes, numbers, reals, whole, part] = inputs.names; \
      [[maybe_unused]] const int batch = static_cast<int>(inputs.point.batch);        \
      [[maybe_unused]] const int head = static_cast<int>(inputs.point.head);          \
      [[maybe_unused]] const int query = static_cast<int>(inputs.point.query);        \
      [[maybe_unused]] const int key = static_cast<int>(inputs.point.key);            \
      [[maybe_unused]] const int query_len = static_cast<int>(inputs.extent.query_len); \
      [[maybe_unused]] const int key_len = static_cast<int>(inputs.extent.key_len);   \
      [[maybe_unused]] const double score = inputs.score;                             \
      return static_cast<double>(__VA_ARGS__);                                        \
    } \
  }

struct Case {
  const char* text;
  double (*compiled)(const Inputs& inputs);
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wbool-operation"
#pragma GCC diagnostic ignored "-Wparentheses"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wbool-compare"
#pragma GCC diagnostic ignored "-Wint-in-bool-context"
const Case kCases[] = {
    EXPRESSION(1),
    EXPRESSION(0x1f + 010 + 42u - 1.5f + .25 + 2.e1f + 0x1.8p1f),
    EXPRESSION(batch + 2 * head - 3 * query + 5 * key + 7 * query_len - 11 * key_len),
    EXPRESSION(query - key - 3),
    EXPRESSION(query - (key - 3)),
    EXPRESSION((query - key) / 3 * 3 + (query - key) % 3),
    EXPRESSION((query - key) / -4 + (query - key) % -4),
    EXPRESSION(-query + ~key - -key + !query + !!key),
    EXPRESSION(- -~!query),
    EXPRESSION(query << 2 + 1 >> 1),
    EXPRESSION((query - key) >> 1),
    EXPRESSION((unsigned)(query - key) >> 1),
    EXPRESSION(query& key ^ 5 | head),
    EXPRESSION(query<key == head> batch != query <= 3 + (key >= 9)),
    EXPRESSION(query == key || query > 3 && key < 9),
    EXPRESSION(query != 0 && 60 / query > key),
    EXPRESSION(key == 0 || 60 % key == 0),
    EXPRESSION(query > key ? query
               : key > 5   ? -1
                           : head),
    EXPRESSION((query > key ? 1 : 2.5) / 2),
    EXPRESSION(query & 1 ? 1
               : 2       ? 3
                         : 4),
    EXPRESSION(5 / 2 + 5 / 2.0f),
    EXPRESSION((int)(score * 10) + (int)-2.9f + (int)2.9f),
    EXPRESSION((int)3.7f / 2),
    EXPRESSION(score* part + whole),
    EXPRESSION(-score - -part),
    EXPRESSION(score<part || score> 2 * part),
    EXPRESSION(score ? 1 : 2),
    EXPRESSION(!score + !0.0f),
    EXPRESSION(abs(query - key) > 4),
    EXPRESSION(abs(query - key) - 5 < 3),
    EXPRESSION(abs(query - key) * -0.5f),
    EXPRESSION(min(query, key) + max(query, 9) * clamp(key, 3, 7)),
    EXPRESSION(min(score, 1.0) + clamp(score, -0.5, 0.5)),
    EXPRESSION(fmin(score, 0.25) + fmax(score, -0.25) + fabs(score)),
    EXPRESSION(floor(score * 4) + ceil(score * 4) * 2 + round(score * 4) * 3),
    EXPRESSION(sqrt(fabs(score)) + exp(score) + exp2(score)),
    EXPRESSION(log(fabs(score) + 1) + log2(fabs(score) + 1)),
    EXPRESSION(sin(score) + cos(score) * tanh(score)),
    EXPRESSION(pow(fabs(score), 1.5) + fmod(score, 0.75)),
    EXPRESSION(convert_int(score * 8) + convert_float(key) / 2),
    EXPRESSION(bytes[key] - bytes[query] + numbers[query] * reals[key]),
    EXPRESSION(numbers[(numbers[key] + 20) % 24]),
    EXPRESSION(~bytes[key] + -bytes[query] + (bytes[key] << 4)),
    EXPRESSION((uint)key - (uint)query < 10u),
    EXPRESSION((unsigned)(key - query) / 3 + (unsigned)(key - query) % 5u),
    EXPRESSION(-1 < 0u),
    EXPRESSION(0xffffffff > 0),
    EXPRESSION(key - query > -1u),
};
#pragma GCC diagnostic pop

TEST(Expression, EvaluatesAsC) {
  Random random = test::make_random();
  const Names names(random);
  for (const Case& test_case : kCases) {
    const Score score = expression_score(names.expression(test_case.text));
    for (int repeat = 0; repeat < 400; ++repeat) {
      const Extent extent{uniform(random, 1, kCount), uniform(random, 1, kCount)};
      const Inputs inputs{
          names,
          {uniform(random, 0, 3), uniform(random, 0, 3), uniform(random, 0, extent.query_len - 1),
           uniform(random, 0, extent.key_len - 1)},
          extent,
          static_cast<double>(uniform(random, -64, 64)) / 32};
      const double expected = test_case.compiled(inputs);
      ASSERT_NEAR(score->apply(inputs.score, inputs.point, extent), expected,
                  1e-6 * std::fabs(expected))
          << test_case.text << " at " << inputs.point.query << ", " << inputs.point.key;
    }
  }
}

TEST(Expression, IntegersAreOf32Bits) {
  EXPECT_EQ(evaluate("2147483647 + 1"), INT_MIN);
  EXPECT_EQ(evaluate("-2147483647 - 2"), INT_MAX);
  EXPECT_EQ(evaluate("65536 * 65537"), 65536);
  EXPECT_EQ(evaluate("INT_MIN * -1"), INT_MIN);
  EXPECT_EQ(evaluate("INT_MIN / -1"), INT_MIN);
  EXPECT_EQ(evaluate("INT_MIN % -1"), 0);
  EXPECT_EQ(evaluate("abs(INT_MIN)"), 2147483648.0);
  EXPECT_EQ(evaluate("0xffffffff * 0xffffffff"), 1);
  EXPECT_EQ(evaluate("0u - 1"), 4294967295.0);
  EXPECT_EQ(evaluate("(int)4294967295u"), -1);
  EXPECT_EQ(evaluate("(uchar)(-1) + 1"), 256);
  EXPECT_EQ(evaluate("1 << 31"), INT_MIN);
  EXPECT_EQ(evaluate("1 << 33"), 2) << "OpenCL takes the shift modulo 32";
  EXPECT_EQ(evaluate("-8 >> 1"), -4);
  EXPECT_EQ(evaluate("0x80000000 >> 31"), 1);
  EXPECT_EQ(evaluate("(int)3e9f"), INT_MAX);
  EXPECT_EQ(evaluate("(int)-3e9f"), INT_MIN);
  EXPECT_EQ(evaluate("1.0f / 0.0f"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(evaluate("INFINITY > FLT_MAX"), 1);
  EXPECT_EQ(evaluate("1.0f / -0.0f"), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(evaluate("0.1"), static_cast<double>(0.1f)) << "constants are floats";
  EXPECT_TRUE(std::isnan(evaluate("sqrt(-1.0f)")));
  EXPECT_EQ(evaluate("sqrt(-1.0f) == sqrt(-1.0f)"), 0);
}

TEST(Expression, RefusesDivisionByZeroAndElementsThatDontExist) {
  const auto invalid = ErrorCategory::invalid_argument;
  const Point point{1, 2, 3, 4};
  test::expect_error(invalid,
                     {"line 1, column 13", "7 / (key - 4)", "7 is divided by 0",
                      "batch 1, head 2, query 3, key 4"},
                     [&] { evaluate("1 + key + 7 / (key - 4)", point); });
  test::expect_error(invalid, {"line 2, column 3", "5 is divided by 0"},
                     [&] { evaluate("1 +\n5 % (key - 4)", point); });
  Random random = test::make_random();
  const Names names(random);
  for (const char* text : {"numbers[key + 20]", "key + numbers[key * 6]"}) {
    test::expect_error(invalid, {"\"numbers\" has 24 elements, but element 24 is read"},
                       [&] { evaluate(names.expression(text), point); });
  }
  test::expect_error(invalid, {"element -1 is read"},
                     [&] { evaluate(names.expression("reals[query - key]"), point); });
  // What is not reached is not evaluated.
  EXPECT_EQ(evaluate("key != 4 && 7 / (key - 4)", point), 0);
  EXPECT_EQ(evaluate("key == 4 ? 3 : 7 / (key - 4)", point), 3);
}

TEST(Expression, NeedsTheValuesOfItsBuffers) {
  Expression expression{"later[key] > 0", {}, {}};
  expression.buffers.push_back(
      std::make_shared<const Buffer>(Buffer{"later", ElementType::i32, 8, {}}));
  const Mask mask = expression_mask(expression);
  test::expect_error(ErrorCategory::invalid_argument, {"\"later\" are bound at launch"}, [&] {
    mask->allows({}, {8, 8});
  });
  EXPECT_EQ(mask->classify({}, {0, 8}, {0, 8}, {8, 8}), Coverage::some);
  EXPECT_EQ(mask->reach({}, {0, 8}, {8, 8}), (Range{0, 8}));
  const Mask given =
      expression_mask(expression, [](const Point& point, const Extent&) { return point.key == 3; });
  EXPECT_TRUE(given->allows({0, 0, 0, 3}, {8, 8}));
  EXPECT_FALSE(given->allows({0, 0, 0, 4}, {8, 8}));
}

TEST(Expression, WhatTheHostDoesNotUnderstandNeedsAFunction) {
  Random random = test::make_random();
  const Names names(random);
  for (const char* text :
       {"native_exp((float)key) > 1.0f", "((int2)(query, key)).x > 3", "popcount(key) & 1",
        "mad24(key, 2, 1) > query", "(long)key * key > 5", "key > 3000000000", "key > 1L",
        "*(numbers + key) > 0", "select(1, 0, key > 3)", "sizeof(int) == 4",
        "any((int4)(key, query, head, batch) > 3)", "as_int(reals[key]) > 3", "isnan(part)"}) {
    SCOPED_TRACE(text);
    const Mask mask = expression_mask(names.expression(text));
    test::expect_error(ErrorCategory::unsupported, {text, "line 1, column", "`allows`"}, [&] {
      mask->allows({}, {8, 8});
    });
    EXPECT_EQ(mask->classify({}, {2, 3}, {5, 6}, {8, 8}), Coverage::some);
    EXPECT_EQ(mask->classify({}, {2, 3}, {5, 5}, {8, 8}), Coverage::none);
    EXPECT_EQ(mask->reach({}, {2, 3}, {8, 8}), (Range{0, 8}));
    ExpressionWriter writer;
    mask->expression(writer);
    EXPECT_NE(writer.functions().at(0).second.find(text), std::string::npos);

    const Score score =
        expression_score(names.expression(text), [](double s, auto&, auto&) { return s + 1; });
    EXPECT_EQ(score->apply(2, {}, {}), 3);
    test::expect_error(ErrorCategory::unsupported, {"`apply`"},
                       [&] { expression_score(names.expression(text))->apply(0, {}, {}); });
  }
  EXPECT_TRUE(expression_mask({"popcount(head)", {}, {}})->variation().head);
  EXPECT_FALSE(expression_mask({"popcount(head)", {}, {}})->variation().batch);
  EXPECT_TRUE(expression_mask({"batch < key", {}, {}})->variation().batch);
  EXPECT_FALSE(expression_mask({"batch < key", {}, {}})->variation().head);
}

// --- Errors

TEST(Expression, RefusesTextsThatAreNoExpression) {
  Random random = test::make_random();
  const Names names(random);
  const std::pair<const char*, std::vector<std::string>> cases[] = {
      {"", {"empty"}},
      {" \n\t", {"empty"}},
      {"key <", {"line 1, column 6", "it ends where an operand must be"}},
      {"key\n  < )", {"line 2, column 5", "\")\" closes no \"(\""}},
      {"(key", {"line 1, column 1", "\"(\" is not closed"}},
      {"numbers[key)", {"column 12", "\")\" closes no \"(\""}},
      {"numbers[key", {"column 8", "\"[\" is not closed"}},
      {"key query", {"column 5", "\"query\" stands where an operator must be"}},
      {"key ? 1", {"column 8", "it ends where \":\" must be"}},
      {"1; return 2", {"column 2", "';'"}},
      {"1) + (2", {"column 2", "closes no"}},
      {"{1}", {"column 1", "'{'"}},
      {"1 }", {"column 3", "'}'"}},
      {"1\n#define x 1", {"line 2, column 1", "'#'"}},
      {"key // > 3", {"column 5", "comment"}},
      {"key /* > 3", {"column 5", "comment"}},
      {"key \\\n > 3", {"column 5", "'\\'"}},
      {"key > '3'", {"column 7", "'''"}},
      {"key > \"3\"", {"column 7"}},
      {"key > \xc3\xa4", {"column 7", "byte 0xc3"}},
      {"key @ 3", {"column 5", "byte 0x40"}},
      {"key = 3", {"column 5", "\"=\" assigns"}},
      {"key += 3", {"column 5", "\"+=\" assigns"}},
      {"key++", {"column 4", "\"++\" assigns"}},
      {"key, 3", {"column 4", "outside parentheses"}},
      {"score - slops * 2", {"line 1, column 9", "unknown name \"slops\"", "\"score\""}},
      {"numbrs[key]", {"column 1", "unknown name \"numbrs\"", "nearest", "\"numbers\""}},
      {"hooks->buffer0[0]", {"unknown name \"hooks\""}},
      {"hook_function0(hooks)", {"unknown name \"hook_function0\""}},
      {"HOOK_VALUE(0)", {"unknown name \"HOOK_VALUE\""}},
      {"min + 1", {"unknown name \"min\""}},
      {"popcount(kex)", {"column 10", "unknown name \"kex\"", "\"key\""}},
      {"if (key) 1", {"\"if\" can't be part of it"}},
      {"return key", {"\"return\" can't be part of it"}},
      {"key(3)", {"\"key\" is not a function"}},
      {"numbers(3)", {"\"numbers\" is not a function"}},
      {"numbers + 1", {"column 1", "\"numbers\" is a buffer: write numbers[index]"}},
      {"numbers[part]", {"the index of \"numbers\" is a float"}},
      {"key % part", {"column 5", "\"%\" takes integers, but gets a float"}},
      {"part << 1", {"\"<<\" takes integers"}},
      {"~part", {"\"~\" takes integers"}},
      {"min(key, part)", {"min takes arguments of one type, but gets an int and a float"}},
      {"clamp(key, 1, 5u)", {"clamp takes arguments of one type, but gets an int and a uint"}},
      {"max(bytes[key], 3)", {"gets a uchar and an int"}},
      {"max(key)", {"max takes 2 arguments, but gets 1"}},
      {"abs()", {"abs takes 1 argument, but gets 0"}},
      {"sqrt(key)", {"sqrt takes floats, but argument 1 is an int: write (float)"}},
      {"abs(part)", {"abs takes integers, but gets a float: write fabs"}},
      {"08", {"\"08\" is not a number"}},
      {"1.5.2", {"\"1.5.2\" is not a number"}},
      {"3x", {"\"3x\" is not a number"}},
      {"0x", {"\"0x\" is not a number"}},
      {"1e", {"\"1e\" is not a number"}},
      {"1e60", {"1e60 does not fit a float"}},
  };
  for (const auto& [text, parts] : cases) {
    SCOPED_TRACE(text);
    test::expect_error(ErrorCategory::invalid_argument, parts,
                       [&, text = text] { expression_score(names.expression(text)); });
  }
  test::expect_error(ErrorCategory::invalid_argument, {"unknown name \"score\""}, [] {
    expression_mask({"score > 0", {}, {}});
  });
}

TEST(Expression, LimitsNesting) {
  const auto repeat = [](const char* text, int times) {
    std::string result;
    for (int i = 0; i < times; ++i) result += text;
    return result;
  };
  EXPECT_EQ(evaluate(repeat("(", 128) + "1" + repeat(")", 128)), 1);
  EXPECT_EQ(evaluate(repeat("1 + ", 4000) + "1"), 4001);
  EXPECT_EQ(evaluate(repeat("0 ? 2 : ", 4000) + "1"), 1);
  EXPECT_EQ(evaluate(repeat("!", 4000) + "1"), 1);
  const std::pair<std::string, const char*> cases[] = {
      {repeat("(", 129) + "1" + repeat(")", 129), "nested deeper than 128"},
      {repeat("(", 100000), "nested deeper than 128"},
      {repeat("1 + ", 100000) + "1", "4096"},
      {repeat("0 ? 2 : ", 100000) + "1", "4096"},
      {repeat("!", 100000) + "1", "4096"},
      {repeat("(int)", 100000) + "1.5f", ""},
  };
  for (const auto& [text, part] : cases) {
    if (*part) {
      test::expect_error(ErrorCategory::invalid_argument, {part, "..."},
                         [&, &text = text] { evaluate(text); });
    } else {
      EXPECT_EQ(evaluate(text), 1) << "casts that change nothing nest nothing";
    }
  }
}

TEST(Expression, ChecksNames) {
  const auto with_scalar = [](const char* name, std::variant<std::int32_t, float> value = 1) {
    expression_mask({"1", {}, {{name, value}}});
  };
  for (const char* name : {"window", "_x", "N", "slope_2", "keys", "heads_of"}) {
    EXPECT_NO_THROW(with_scalar(name)) << name;
  }
  const std::pair<const char*, const char*> refused[] = {{"", "letters"},
                                                         {"2x", "letters"},
                                                         {"a b", "letters"},
                                                         {"a-b", "letters"},
                                                         {"\xc3\xa4", "letters"},
                                                         {"key", "kept by the library"},
                                                         {"score", "kept"},
                                                         {"heads", "kept"},
                                                         {"hooks", "kept"},
                                                         {"hook_x", "kept"},
                                                         {"HOOK_VALUE", "kept"},
                                                         {"clattn_x", "kept"},
                                                         {"__x", "kept"},
                                                         {"int", "word of"},
                                                         {"float4", "word of"},
                                                         {"return", "word of"},
                                                         {"global", "word of"},
                                                         {"min", "function of"},
                                                         {"native_exp", "function of"},
                                                         {"convert_int", "function of"},
                                                         {"true", "constant of"},
                                                         {"INFINITY", "constant of"},
                                                         {"M_PI_F", "constant of"}};
  for (const auto& [name, part] : refused) {
    test::expect_error(ErrorCategory::invalid_argument, {"\"" + std::string(name) + "\"", part},
                       [&, name = name] { with_scalar(name); });
  }
  const auto invalid = ErrorCategory::invalid_argument;
  test::expect_error(invalid, {"\"x\"", "nan", "finite"}, [&] { with_scalar("x", NAN); });
  test::expect_error(invalid, {"\"x\" is given to two"}, [] {
    expression_mask({"1", {make_buffer<float>("x", ElementType::f32, {1})}, {{"x", 1}}});
  });
  Expression many{"1", {}, {}};
  for (int i = 0; i < 8; ++i) {
    const std::string name(1, static_cast<char>('a' + i));
    many.scalars.push_back({"s" + name, 1});
    many.buffers.push_back(make_buffer<float>(name.c_str(), ElementType::f32, {1}));
  }
  EXPECT_NO_THROW(expression_mask(many));
  Expression scalars = many, buffers = many;
  scalars.scalars.push_back({"more", 1});
  test::expect_error(invalid, {"9 scalars", "8"}, [&] { expression_mask(scalars); });
  buffers.buffers.push_back(make_buffer<float>("more", ElementType::f32, {1}));
  test::expect_error(invalid, {"9 buffers", "8"}, [&] { expression_mask(buffers); });
  const auto with_buffer = [](const Buffer& buffer) {
    expression_mask({"1", {std::make_shared<const Buffer>(buffer)}, {}});
  };
  test::expect_error(invalid, {"\"x\"", "f16"}, [&] {
    with_buffer({"x", ElementType::f16, 1, {}});
  });
  test::expect_error(invalid, {"\"x\"", "bf16"}, [&] {
    with_buffer({"x", ElementType::bf16, 1, {}});
  });
  test::expect_error(invalid, {"\"x\" has 0 elements"}, [&] {
    with_buffer({"x", ElementType::f32, 0, {}});
  });
  test::expect_error(invalid, {"\"x\" has -1 elements"}, [&] {
    with_buffer({"x", ElementType::f32, -1, {}});
  });
  test::expect_error(invalid, {"\"x\" has 5 bytes", "1 elements of 4"}, [&] {
    with_buffer({"x", ElementType::f32, 1, std::vector<std::byte>(5)});
  });
  test::expect_error(invalid, {"null"}, [] { expression_mask({"1", {nullptr}, {}}); });
}

TEST(Expression, ReachesKernelsAsItStands) {
  const Expression expression{"bytes[key] < window ?\n  1 : 0.5f > part",
                              {make_buffer<std::uint8_t>("bytes", ElementType::u8, {1, 2})},
                              {{"window", 3}, {"part", 0.25f}}};
  ExpressionWriter writer;
  writer.integer(1);
  EXPECT_EQ(expression_mask(expression)->expression(writer),
            "hook_function0(hooks, batch, head, query, key, query_len, key_len)");
  EXPECT_EQ(writer.functions().at(0).first, "int");
  EXPECT_EQ(writer.functions().at(0).second,
            "  __global const uchar *bytes = hooks->buffer0;\n"
            "  const int window = HOOK_VALUE(1);\n"
            "  const float part = as_float(HOOK_VALUE(2));\n"
            "  return (\n"
            "#line 1 \"expression\"\n"
            "bytes[key] < window ?\n  1 : 0.5f > part\n"
            "  ) != 0;");
  EXPECT_EQ(writer.notes(), std::vector<std::string>{expression.text});
  EXPECT_EQ(writer.values(), (std::vector<std::int32_t>{1, 3, 0x3e800000}));
  EXPECT_EQ(expression_score({"score * 2", {}, {}})->expression(writer),
            "hook_function1(hooks, score, batch, head, query, key, query_len, key_len)");
  EXPECT_EQ(writer.functions().at(1),
            std::pair(std::string("float"),
                      std::string("  return (\n#line 1 \"expression\"\nscore * 2\n  );")));
}

TEST(Expression, IsWrittenAsJson) {
  Expression expression{"key <\n1", {}, {}};
  EXPECT_EQ(expression_mask(expression)->to_json(), R"({"opencl":{"expression":"key <\n1"}})");
  expression.scalars = {{"whole", 3}, {"part", 0.1f}, {"two", 2.0f}};
  expression.buffers = {make_buffer<std::uint8_t>("bytes", ElementType::u8, {1, 255}),
                        make_buffer<std::int32_t>("numbers", ElementType::i32, {-1, 2}),
                        make_buffer<float>("reals", ElementType::f32, {1, 0.1f, -INFINITY, NAN}),
                        std::make_shared<const Buffer>(Buffer{"later", ElementType::i32, 5, {}})};
  const std::string text = expression_score(expression)->to_json();
  EXPECT_EQ(nlohmann::json::parse(text).dump(), nlohmann::json::parse(R"({"opencl":{
      "expression":"key <\n1",
      "buffers":{"bytes":{"type":"u8","values":[1,255]},"numbers":[-1,2],
                 "reals":[1.0,0.1,"-inf","nan"],"later":{"type":"i32","count":5}},
      "scalars":{"whole":3,"part":0.1,"two":2.0}}})")
                                                    .dump());
}

}  // namespace
}  // namespace clattn
