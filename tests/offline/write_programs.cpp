// Writes the OpenCL C programs that the library would build on devices that nobody here need have:
// the planner decides over made-up device facts, as it would over real ones, and the program of its
// decision goes to a file. compile.py gives each to the vendor's own compiler.
//
// Which programs: for every device and every family that takes it, a few problems that make the
// kernels of one configuration differ (masks, modifiers, block lists, boxes of a grid), over some
// dimensions. Then whatever other configuration the planner takes for any dimensions, lengths and
// types: so that a new configuration is compiled without being named here.
//
// Usage: clattn_offline_programs FOLDER. Writes FOLDER/NAME.cl and FOLDER/programs.json, a list of
// {"device", "architecture", "family", "name", "options", "work_group_size", "local_memory_bytes"
// and, where the built program is patched, "patch": {"marker", "replacements": [[from, to], ...]}}.
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "host/planning/attention_program.hpp"
#include "runtime/quirks.hpp"

namespace clattn {
namespace {

struct Target {
  std::string architecture;  // as its compiler calls it
  DeviceFacts facts;
  // Also the families that the planner takes only where a preferred one does not fit: they need
  // nothing of the device, so one device of a vendor is enough.
  bool fallbacks = true;
};

DeviceFacts gpu(std::string name, std::int64_t compute_units, std::int64_t work_items,
                std::int64_t local_memory) {
  DeviceFacts facts;
  facts.name = std::move(name);
  facts.kind = DeviceKind::gpu;
  facts.compute_units = compute_units;
  facts.max_work_group_size = facts.max_work_item_size = work_items;
  facts.local_memory_reported = facts.local_memory_bytes = local_memory;
  return facts;
}

// What drivers report of these devices, and what their probes find.
std::vector<Target> targets() {
  std::vector<Target> targets = {{"sm_90", gpu("h200", 132, 1024, 48 << 10)},
                                 {"sm_80", gpu("a100", 108, 1024, 48 << 10), false},
                                 {"gfx90a", gpu("mi210", 104, 256, 64 << 10)},
                                 {"dg2", gpu("arc", 512, 1024, 64 << 10)}};
  targets[0].facts.compute_capability = 90;
  targets[0].facts.instruction_sets = {{"mma", ""}, {"wgmma", ""}};
  targets[1].facts.compute_capability = 80;
  targets[1].facts.instruction_sets = {{"mma", ""}, {"wgmma", "needs compute capability 9.0"}};
  for (Target& target : targets) apply_quirks(target.facts);
  return targets;
}

struct Variant {
  std::string name;
  Problem problem;
  TokenAccess tokens = TokenAccess::automatic;
};

// One a way in which kernels of a configuration differ.
std::vector<Variant> variants() {
  Problem base;
  base.batch = 2;
  base.heads = base.kv_heads = 16;
  base.query_len = base.key_len = 16 * 16 * 16;
  const auto with = [&](auto change) {
    Problem problem = base;
    change(problem);
    return problem;
  };
  const auto expression = [] { return expression_mask({"(query ^ key) % 3 != head % 3", {}, {}}); };
  const auto in_window = [&](const std::vector<std::int64_t>& window) {
    return with([&](Problem& problem) {
      problem.mask = all_of_mask({neighborhood_mask({{16, 16, 16}, window, {}, {}, {}, 0}),
                                  causal_mask(CausalAlign::top_left)});
    });
  };
  return {
      {"dense", base},
      {"causal", with([](Problem& problem) { problem.mask = causal_mask(); })},
      {"documents", with([](Problem& problem) {
         problem.mask = documents_mask({{1000, 3096}, {1000, 3096}}, causal_mask());
       })},
      {"modified", with([&](Problem& problem) {
         problem.mask = expression();
         problem.scores = {softcap_score(30), alibi_score(alibi_slopes(problem.heads))};
         problem.sink_logits.assign(static_cast<std::size_t>(problem.heads), 1.0f);
       })},
      {"listed", with([&](Problem& problem) {
         problem.mask = expression();
         problem.blocks = BlockShape();
       })},
      {"gathered", in_window({3, 3, 3}), TokenAccess::gathered},
      {"wide", in_window({9, 15, 15}), TokenAccess::gathered},  // by boxes, if anybody copies them
      {"permuted", in_window({3, 3, 3}), TokenAccess::permuted},
      {"decode", with([](Problem& problem) { problem.query_len = 1; })},
  };
}

class ProgramWriter {
 public:
  explicit ProgramWriter(std::filesystem::path folder) : folder_(std::move(folder)) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }

  void write_target(const Target& target) {
    bool preferred = true;
    for (const Family* family : families()) {
      if (!family->rejection(target.facts).empty()) continue;
      write_variants(target, *family, preferred);
      write_remaining_configurations(target, *family);
      if (!target.fallbacks) return;
      preferred = false;
    }
  }

  std::size_t finish() {
    std::ofstream file(folder_ / "programs.json");
    file << programs_.dump(1) << '\n';
    if (!file.flush()) throw std::runtime_error("cannot write programs.json");
    return programs_.size();
  }

 private:
  void write_variants(const Target& target, const Family& family, bool preferred) {
    for (Variant variant : variants()) {
      const bool dense = variant.name == "dense";
      std::vector<std::int64_t> dims = {128};
      if (preferred) dims = {64, 128, 256};
      if (dense) dims = {32, 64, 80, 96, 128, 192, 256};
      for (const std::int64_t dim : dims) {
        for (const DataType type : {DataType::bf16, DataType::f16, DataType::f32}) {
          if (type != DataType::bf16 && !(dense && dim == 128)) continue;
          variant.problem.head_dim = variant.problem.value_dim = dim;
          variant.problem.data_type = type;
          write(target, family, variant);
        }
      }
    }
  }

  // Of a configuration, the problem of the largest dimensions, which needs most registers.
  void write_remaining_configurations(const Target& target, const Family& family) {
    Problem problem;
    problem.heads = problem.kv_heads = 16;
    for (std::int64_t dims = 2 * Problem::kMaxDim; dims >= 16; dims -= 8) {
      for (problem.head_dim = std::max<std::int64_t>(8, dims - Problem::kMaxDim);
           problem.head_dim <= std::min<std::int64_t>(Problem::kMaxDim, dims - 8);
           problem.head_dim += 8) {
        problem.value_dim = dims - problem.head_dim;
        for (const DataType type : {DataType::bf16, DataType::f16, DataType::f32}) {
          problem.data_type = type;
          for (const std::int64_t length : {1, 16, 32, 64, 128, 16384}) {
            problem.query_len = problem.key_len = length;
            problem.blocks.reset();
            write_new_configuration(target, family, {"dense", problem});
            problem.query_len = problem.key_len = 16384;
            problem.blocks = BlockShape{std::min<std::int64_t>(length, 256)};
            write_new_configuration(target, family, {"listed", problem});
          }
        }
      }
    }
  }

  void write_new_configuration(const Target& target, const Family& family, const Variant& variant) {
    const Decision decision = decide(variant.problem, target.facts, {family.name()});
    if (decision.family && !configurations_.contains(key(target, decision))) {
      write(target, family, variant);
    }
  }

  static std::string key(const Target& target, const Decision& decision) {
    return fmt::format("{} {} {}", target.facts.name, decision.family->name(), decision.choice.id);
  }

  // Writes nothing where the family takes no such problem, or the program is there.
  void write(const Target& target, const Family& family, const Variant& variant) {
    PlanOptions options{.family = family.name(), .tokens = variant.tokens};
    const Problem& problem = variant.problem;
    const Decision decision = decide(problem, target.facts, options);
    if (!decision.family) return;
    configurations_.insert(key(target, decision));
    const ProgramRequest request = attention_program(problem, decision);
    const std::string source = source_of(request);
    const std::string build_options = options_of(request);
    if (!sources_.insert(target.facts.name + build_options + source).second) return;

    const std::string name = fmt::format("{}-{}-{}-d{}v{}-{}-{}", target.facts.name, family.name(),
                                         decision.choice.id, problem.head_dim, problem.value_dim,
                                         to_string(problem.data_type), variant.name);
    std::ofstream file(folder_ / (name + ".cl"), std::ios::binary);
    file << source;
    if (!file.flush()) throw std::runtime_error(fmt::format("cannot write {}.cl", name));
    nlohmann::json& entry = programs_.emplace_back(
        nlohmann::json{{"device", target.facts.name},
                       {"architecture", target.architecture},
                       {"family", family.name()},
                       {"name", name},
                       {"options", build_options},
                       {"work_group_size", decision.choice.work_group_size},
                       {"local_memory_bytes", decision.choice.local_memory_bytes}});
    if (request.patch) {
      entry["patch"] = {{"marker", request.patch->marker},
                        {"replacements", request.patch->replacements}};
    }
  }

  std::filesystem::path folder_;
  std::set<std::string> configurations_;
  std::set<std::string> sources_;
  nlohmann::json programs_ = nlohmann::json::array();
};

int run(const char* folder) {
  ProgramWriter writer(folder);
  for (const Target& target : targets()) writer.write_target(target);
  fmt::print("{} programs in {}\n", writer.finish(), folder);
  return 0;
}

}  // namespace
}  // namespace clattn

int main(int argument_count, char** arguments) {
  if (argument_count != 2) {
    fmt::print(stderr, "usage: {} FOLDER\n", arguments[0]);
    return 2;
  }
  try {
    return clattn::run(arguments[1]);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
