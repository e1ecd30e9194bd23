// Packed documents: no query sees beyond its own document, and inside of it a mask decides that
// knows the document alone. Documents are kept by their cumulative begins among the queries and
// among the keys; one of no queries or no keys is legal and shares its begin with the next.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <clattn/problem.hpp>

#include "host/invalid.hpp"
#include "host/masks/parts.hpp"

namespace clattn {
namespace {

// How many documents are asked about one rectangle: its cost stays bounded.
constexpr std::size_t kMostAsked = 16;
// Most entries of the table from queries to documents: beyond it, each stands for several queries.
constexpr std::int64_t kMostGuesses = std::int64_t{1} << 20;

std::vector<std::int64_t> begins_of(const char* name, const std::vector<std::int64_t>& lengths) {
  std::vector<std::int64_t> begins = {0};
  for (std::int64_t length : lengths) {
    if (length < 0) {
      invalid("document {} has a {} length of {}, but it must be 0 or more", begins.size() - 1,
              name, length);
    }
    if (length > Problem::kMaxLength - begins.back()) {
      invalid("the {} lengths of documents up to {} add up to more than {}", name,
              begins.size() - 1, Problem::kMaxLength);
    }
    begins.push_back(begins.back() + length);
  }
  return begins;
}

// The document of a token, which is there and therefore not in an empty one.
std::size_t document_of(const std::vector<std::int64_t>& begins, std::int64_t token) {
  return static_cast<std::size_t>(std::upper_bound(begins.begin(), begins.end(), token) -
                                  begins.begin()) -
         1;
}

class Documents final : public MaskNode {
 public:
  Documents(DocumentLengths lengths, Mask inside)
      : lengths_(std::move(lengths)),
        queries_(begins_of("query", lengths_.queries)),
        keys_(begins_of("key", lengths_.keys)),
        inside_(std::move(inside)) {}

  bool allows(const Point& point, const Extent&) const override {
    const std::size_t d = document_of(queries_, point.query);
    if (point.key < keys_[d] || point.key >= keys_[d + 1]) return false;
    return inside_->allows(
        {point.batch, point.head, point.query - queries_[d], point.key - keys_[d]}, extent_of(d));
  }

  std::string expression(ExpressionWriter& writer) const override {
    std::vector<std::int32_t> begins;
    for (std::size_t d = 0; d < queries_.size(); ++d) {
      begins.insert(begins.end(),
                    {static_cast<std::int32_t>(queries_[d]), static_cast<std::int32_t>(keys_[d])});
    }
    int shift = 0;
    while ((queries_.back() >> shift) > kMostGuesses) ++shift;
    std::vector<std::int32_t> guesses;
    for (std::int64_t query = 0; query < queries_.back(); query += std::int64_t{1} << shift) {
      guesses.push_back(static_cast<std::int32_t>(document_of(queries_, query)));
    }
    const std::string begins_table = writer.table(begins), guesses_table = writer.table(guesses);
    const std::string shift_value = writer.integer(shift);
    // A function may change its variables: in the return statement they are those of a document.
    const std::string body = fmt::format(
        "  if (!mask_enter_document({}, {}, {}, &query, &key, &query_len, &key_len)) return 0;\n"
        "  return ({}) != 0;",
        begins_table, guesses_table, shift_value, inside_->expression(writer));
    return writer.function("int", body) + "(hooks, batch, head, query, key, query_len, key_len)";
  }

  Coverage classify(const Slice& slice, const Range& queries, const Range& keys,
                    const Extent&) const override {
    if (queries.empty() || keys.empty()) return Coverage::none;
    const std::size_t first =
        std::max(document_of(queries_, queries.begin), document_of(keys_, keys.begin));
    const std::size_t last =
        std::min(document_of(queries_, queries.end - 1), document_of(keys_, keys.end - 1));
    for (std::size_t d = first; d <= last; ++d) {
      if (d - first == kMostAsked) return Coverage::some;
      const Range own_queries = local(queries_, d, queries), own_keys = local(keys_, d, keys);
      if (own_queries.empty() || own_keys.empty()) continue;
      const Coverage coverage = inside_->classify(slice, own_queries, own_keys, extent_of(d));
      if (coverage == Coverage::none) continue;
      const bool whole = own_queries.size() == queries.size() && own_keys.size() == keys.size();
      return whole ? coverage : Coverage::some;
    }
    return Coverage::none;
  }

  // Within one document, the band of the inside, moved to where the document lies.
  std::optional<Band> band(const Slice& slice, const Range& queries, const Range& keys,
                           const Extent&) const override {
    const std::size_t d = document_of(queries_, queries.begin);
    const Range own_queries = local(queries_, d, queries), own_keys = local(keys_, d, keys);
    if (own_queries.size() != queries.size() || own_keys.size() != keys.size()) return std::nullopt;
    std::optional<Band> band = inside_->band(slice, own_queries, own_keys, extent_of(d));
    const std::int64_t move = keys_[d] - queries_[d];
    if (band) band = Band{band->first + move, band->last + move};
    return band;
  }

  // From what the first document reaches to what the last does.
  Range reach(const Slice& slice, const Range& queries, const Extent&) const override {
    if (queries.empty()) return {};
    const std::size_t first = document_of(queries_, queries.begin);
    const std::size_t last = document_of(queries_, queries.end - 1);
    const auto reach_in = [&](std::size_t d) {
      const Range own = inside_->reach(slice, local(queries_, d, queries), extent_of(d));
      return Range{keys_[d] + own.begin, keys_[d] + own.end};
    };
    const Range front = reach_in(first), back = first == last ? front : reach_in(last);
    const std::int64_t begin = front.empty() ? keys_[first + 1] : front.begin;
    return {begin, std::max(begin, back.empty() ? keys_[last] : back.end)};
  }

  Variation variation() const override { return inside_->variation(); }

  std::vector<std::int64_t> seams(const Slice& slice, const Extent&) const override {
    std::vector<std::int64_t> result;
    for (std::size_t d = 0; d + 1 < queries_.size(); ++d) {
      if (queries_[d] == queries_[d + 1]) continue;
      if (queries_[d] > 0) result.push_back(queries_[d]);
      for (std::int64_t seam : inside_->seams(slice, extent_of(d))) {
        result.push_back(queries_[d] + seam);
      }
    }
    return result;
  }

  void validate(const Extent& extent, std::int64_t batch, std::int64_t heads) const override {
    const auto check = [](const char* name, std::int64_t sum, std::int64_t length) {
      if (sum != length) {
        invalid("the {} lengths of the documents add up to {}, but the problem has {}", name, sum,
                length);
      }
    };
    check("query", queries_.back(), extent.query_len);
    check("key", keys_.back(), extent.key_len);
    for (std::size_t d = 0; d + 1 < queries_.size(); ++d) {
      inside_->validate(extent_of(d), batch, heads);
    }
  }

  std::string to_json() const override {
    std::string text = fmt::format("\"lengths\":[{}]", fmt::join(lengths_.queries, ","));
    if (lengths_.keys != lengths_.queries) {
      text += fmt::format(",\"key_lengths\":[{}]", fmt::join(lengths_.keys, ","));
    }
    const std::string inside = inside_->to_json();
    if (inside != "{}") text += ",\"mask\":" + inside;
    return "{\"documents\":{" + text + "}}";
  }

 private:
  Extent extent_of(std::size_t d) const {
    return {queries_[d + 1] - queries_[d], keys_[d + 1] - keys_[d]};
  }

  // The part of a range that is document d's, counted from the begin of d.
  static Range local(const std::vector<std::int64_t>& begins, std::size_t d, const Range& range) {
    return {std::max(range.begin, begins[d]) - begins[d],
            std::min(range.end, begins[d + 1]) - begins[d]};
  }

  DocumentLengths lengths_;
  std::vector<std::int64_t> queries_;  // [documents + 1]
  std::vector<std::int64_t> keys_;     // [documents + 1]
  Mask inside_;
};

}  // namespace

Mask documents_mask(DocumentLengths lengths, Mask inside) {
  if (lengths.queries.size() != lengths.keys.size()) {
    invalid("documents have {} query lengths, but {} key lengths", lengths.queries.size(),
            lengths.keys.size());
  }
  check_part("documents", inside);
  return std::make_shared<Documents>(std::move(lengths), std::move(inside));
}

std::vector<std::int64_t> lengths_from_offsets(const std::vector<std::int64_t>& offsets) {
  if (offsets.empty()) invalid("there are no offsets, but the first one must be 0");
  if (offsets.front() != 0) invalid("the first offset is {}, but must be 0", offsets.front());
  std::vector<std::int64_t> lengths;
  for (std::size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i] < offsets[i - 1]) {
      invalid("offset {} is {}, but the one before is {}: they must not descend", i, offsets[i],
              offsets[i - 1]);
    }
    lengths.push_back(offsets[i] - offsets[i - 1]);
  }
  return lengths;
}

}  // namespace clattn
