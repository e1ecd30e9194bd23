#include "host/json/members.hpp"

#include <algorithm>
#include <limits>

#include "host/nearest.hpp"

namespace clattn {
namespace {

constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxShown = 60;  // bytes of an offending value in a message

template <typename Integer>
void read_integer(const json& value, Integer& result) {
  using Limits = std::numeric_limits<Integer>;
  if (!value.is_number_integer()) wrong_type(value, "a whole number");
  const bool fits = value.is_number_unsigned() ? std::in_range<Integer>(value.get<std::uint64_t>())
                                               : std::in_range<Integer>(value.get<std::int64_t>());
  if (!fits) invalid("{} is not within {} to {}", value.dump(), +Limits::min(), +Limits::max());
  result = value.get<Integer>();
}

// "window" and "left: must be ..." are joined as "window left: must be ...", "all_of" and
// "[1] window: ..." as "all_of[1] window: ...".
std::string joined(const std::string& place, const Error& error) {
  const std::string_view message = error.what();
  const bool placed = dynamic_cast<const PlacedError*>(&error) != nullptr;
  return fmt::format("{}{}{}", place,
                     !placed                    ? ": "
                     : message.starts_with('[') ? ""
                                                : " ",
                     message);
}

}  // namespace

json parse_json(std::string_view text, const char* what) {
  const auto limit_depth = [&](int depth, json::parse_event_t, const json&) {
    if (depth > kMaxDepth) invalid("{} is nested deeper than {} levels", what, kMaxDepth);
    return true;
  };
  try {
    return json::parse(text, limit_depth);
  } catch (const json::exception& error) {
    invalid("{} is not JSON: {}", what, error.what());
  }
}

PlacedError::PlacedError(const std::string& place, const Error& error)
    : Error(error.category(), joined(place, error)) {}

void wrong_type(const json& value, const char* expected) {
  std::string shown = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (shown.size() > kMaxShown) shown = shown.substr(0, kMaxShown) + "...";
  invalid("must be {}, but is {}", expected, shown);
}

void unknown(const char* what, std::string_view word, const std::vector<std::string>& legal) {
  invalid("unknown {} \"{}\"; the nearest legal one is \"{}\"", what, word, nearest(word, legal));
}

void read_value(const json& value, std::int64_t& result) { read_integer(value, result); }
void read_value(const json& value, std::int32_t& result) { read_integer(value, result); }
void read_value(const json& value, std::uint32_t& result) { read_integer(value, result); }
void read_value(const json& value, std::uint8_t& result) { read_integer(value, result); }

void read_value(const json& value, float& result) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const auto& [name, number] : {std::pair("inf", kInfinity), std::pair("-inf", -kInfinity),
                                     std::pair("nan", std::numeric_limits<float>::quiet_NaN())}) {
    if (value == name) {
      result = number;
      return;
    }
  }
  if (!value.is_number()) wrong_type(value, "a number");
  result = value.get<float>();
}

void read_value(const json& value, double& result) {
  if (!value.is_number()) wrong_type(value, "a number");
  result = value.get<double>();
}

void read_value(const json& value, bool& result) {
  if (!value.is_boolean()) wrong_type(value, "true or false");
  result = value.get<bool>();
}

void read_value(const json& value, std::string& result) {
  if (!value.is_string()) wrong_type(value, "a string");
  result = value.get<std::string>();
}

Members::Members(const json& object, std::vector<std::string> legal) : object_(object) {
  if (!object.is_object()) wrong_type(object, "an object");
  for (const auto& [key, value] : object.items()) {
    if (std::find(legal.begin(), legal.end(), key) == legal.end()) unknown("key", key, legal);
  }
}

const json* Members::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() ? nullptr : &*found;
}

const json& Members::at(const char* key) const {
  const json* member = find(key);
  if (!member) invalid("is missing");
  return *member;
}

}  // namespace clattn
