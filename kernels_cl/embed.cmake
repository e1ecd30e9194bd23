# Writes OUTPUT, a C++ file with the bytes of each of KERNELS (paths relative to FOLDER), which
# defines FUNCTION of runtime/embedded_sources.hpp.
set(arrays "")
set(table "")
set(index 0)
foreach(kernel IN LISTS KERNELS)
  file(READ "${FOLDER}/${kernel}" bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND arrays "const unsigned char kernel_${index}[] = {${bytes}};\n")
  string(APPEND table "    {\"${kernel}\", {reinterpret_cast<const char*>(kernel_${index}), sizeof(kernel_${index})}},\n")
  math(EXPR index "${index} + 1")
endforeach()
file(WRITE "${OUTPUT}.new" "// Made by kernels_cl/embed.cmake.
#include \"runtime/embedded_sources.hpp\"

namespace clattn {
namespace {
${arrays}}  // namespace

const std::vector<EmbeddedSource>& ${FUNCTION}() {
  static const std::vector<EmbeddedSource> sources = {
${table}  };
  return sources;
}

}  // namespace clattn
")
file(RENAME "${OUTPUT}.new" "${OUTPUT}")
