// Writes .npy files for tests: any header, any bytes.
#pragma once

#include <cstddef>
#include <fstream>
#include <string>
#include <vector>

namespace clattn::test {

// Version 1.0 with this dictionary, as it stands, and these bytes behind it.
inline std::string npy_bytes(const std::string& dictionary, const std::string& data) {
  using std::string_literals::operator""s;
  return "\x93NUMPY\x01\x00"s + static_cast<char>(dictionary.size() & 0xff) +
         static_cast<char>(dictionary.size() >> 8) + dictionary + data;
}

inline std::string npy_dictionary(const std::string& descr, const std::string& shape,
                                  const std::string& fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n";
}

template <typename Element>
void write_npy(const std::string& path, const std::string& descr, const std::string& shape,
               const std::vector<Element>& values) {
  const std::string data(reinterpret_cast<const char*>(values.data()),
                         values.size() * sizeof(Element));
  const std::string bytes = npy_bytes(npy_dictionary(descr, shape), data);
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::ssize(bytes));
}

}  // namespace clattn::test
