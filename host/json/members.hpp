// How the parts of the JSON form are read: values of the types that it knows, and the members of an
// object, where a key that nobody asked for is an error, so that a misspelt one can't be lost. An
// error says where it is: at_place puts the place in front of it, level by level on the way out
// ("mask all_of[1] window left: must be a whole number, but is 1.5").
#pragma once

#include <fmt/format.h>

#include <clattn/error.hpp>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/invalid.hpp"

namespace clattn {

using json = nlohmann::ordered_json;  // masks give their text back in the order in which it came

// The JSON of a problem, or of what `what` calls it. Throws Error (invalid_argument) for a syntax
// error and for text nested deeper than 64 levels, which would overflow the stack of whoever walks
// it. Exported for the tool; no header of it is installed.
CLATTN_API json parse_json(std::string_view text, const char* what = "the problem");

// An Error whose message begins with a place.
class PlacedError : public Error {
 public:
  PlacedError(const std::string& place, const Error& error);
};

template <typename Body>
decltype(auto) at_place(const std::string& place, Body&& body) {
  try {
    return body();
  } catch (const Error& error) {
    throw PlacedError(place, error);
  }
}

[[noreturn]] void wrong_type(const json& value, const char* expected);
[[noreturn]] void unknown(const char* what, std::string_view word,
                          const std::vector<std::string>& legal);

// Throws Error (invalid_argument) where `value` is of another type or does not fit.
void read_value(const json& value, std::int64_t& result);
void read_value(const json& value, std::int32_t& result);
void read_value(const json& value, std::uint32_t& result);
void read_value(const json& value, std::uint8_t& result);
void read_value(const json& value, float& result);  // also of "inf", "-inf" and "nan"
void read_value(const json& value, double& result);
void read_value(const json& value, bool& result);
void read_value(const json& value, std::string& result);

// Calls `visit` with each element of an array.
template <typename Visit>
void for_each_element(const json& value, Visit&& visit) {
  if (!value.is_array()) wrong_type(value, "an array");
  for (std::size_t i = 0; i < value.size(); ++i) {
    at_place(fmt::format("[{}]", i), [&] { visit(value[i]); });
  }
}

template <typename Element>
void read_value(const json& value, std::vector<Element>& result) {
  for_each_element(value, [&](const json& element) {
    Element read{};
    read_value(element, read);
    result.push_back(read);
  });
}

// Also takes null, as absent.
template <typename Value>
void read_value(const json& value, std::optional<Value>& result) {
  if (!value.is_null()) read_value(value, result.emplace());
}

template <typename Enum>
using Names = std::initializer_list<std::pair<const char*, Enum>>;

// The members of one JSON object.
class Members {
 public:
  Members(const json& object, std::vector<std::string> legal);

  const json* find(const char* key) const;  // null where absent
  const json& at(const char* key) const;    // throws where absent

  // Leaves `value` alone where the key is absent.
  template <typename Value>
  void read(const char* key, Value& value) const {
    if (const json* member = find(key)) at_place(key, [&] { read_value(*member, value); });
  }

  // Throws where the key is absent.
  template <typename Value>
  Value get(const char* key) const {
    Value value{};
    at_place(key, [&] { read_value(at(key), value); });
    return value;
  }

  std::int64_t integer(const char* key) const { return get<std::int64_t>(key); }

  // The same for one of several names.
  template <typename Enum>
  void read(const char* key, Enum& value, Names<Enum> names) const {
    if (find(key)) value = get(key, names);
  }
  template <typename Enum>
  Enum get(const char* key, Names<Enum> names) const {
    return at_place(key, [&]() -> Enum {
      const auto word = value_at<std::string>(key);
      std::vector<std::string> legal;
      for (const auto& [name, enumerator] : names) {
        if (word == name) return enumerator;
        legal.push_back(name);
      }
      unknown("value", word, legal);
    });
  }

 private:
  template <typename Value>
  Value value_at(const char* key) const {
    Value value{};
    read_value(at(key), value);
    return value;
  }

  const json& object_;
};

}  // namespace clattn
