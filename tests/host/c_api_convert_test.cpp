// Facts of a device through the C API's struct and back.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "host/c_api/convert.hpp"

namespace clattn::c_api {
namespace {

using InstructionSets = std::map<std::string, std::string>;

clattn_device written(const InstructionSets& sets) {
  Device device;
  device.facts.instruction_sets = sets;
  clattn_device result{};
  write_device(device, result);
  return result;
}

TEST(CApiConvert, InstructionSetsSurvive) {
  for (const InstructionSets& sets :
       {InstructionSets{}, InstructionSets{{"mma", ""}},
        InstructionSets{{"mma", ""}, {"wgmma", "patching probe failed on device X: no \"//WG \""}},
        InstructionSets{{"mma", "no: that"}, {"wgmma", ""}}}) {
    EXPECT_EQ(read_facts(written(sets)).instruction_sets, sets);
  }
  EXPECT_STREQ(written({{"mma", ""}, {"wgmma", "too old"}}).instruction_sets,
               "mma: yes\nwgmma: too old");
}

// A text may be cut anywhere, and what is then read must not claim more than what was found.
TEST(CApiConvert, ACutReasonNeverMeansYes) {
  const std::size_t size = sizeof(clattn_device::instruction_sets);
  for (std::size_t length = size - 20; length < size + 20; ++length) {
    const std::string reason(length, 'x');
    const InstructionSets sets =
        read_facts(written({{"mma", reason}, {"wgmma", "no"}})).instruction_sets;
    EXPECT_EQ(sets.at("mma"), reason.substr(0, size - 1 - std::string("mma: ").size()));
    const auto found = sets.find("wgmma");
    EXPECT_TRUE(found == sets.end() || !found->second.empty()) << length;
  }
}

}  // namespace
}  // namespace clattn::c_api
