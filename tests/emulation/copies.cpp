// Local memory and what fills it: stores, copies of work-items (cp.async), and boxes that the copy
// engine brings (cp.async.bulk.tensor). What is under way holds NaN, unless chance lets the data
// come at once. The chunks of local memory know who touched them, so that an access through the
// asynchronous proxy (bulk copies, wgmma) to what was not fenced is an error at once.
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "tests/emulation/machine.hpp"

namespace clattn::emulation {
namespace {

constexpr int kEarly = 30;  // percent of copies whose data are there at once
constexpr int kPiece = 64;  // columns of a box, rows of 128 bytes
constexpr int kPieceRow = 128;

// Where the swizzle of 128 bytes puts what stands at this address.
std::uint32_t swizzled(std::uint32_t address) { return address ^ ((address >> 7 & 7) << 4); }

void poison(std::byte* begin, int bytes) { std::fill_n(begin, bytes, std::byte{0xff}); }

void copy_or_zeros(std::byte* target, const void* source, int size, int bytes) {
  std::copy_n(static_cast<const std::byte*>(source), bytes, target);
  std::fill(target + bytes, target + size, std::byte{0});
}

}  // namespace

// --- Local memory.

std::byte* Machine::at(std::uint32_t address, int size, Position where) {
  const std::uint64_t end = kLocalBase + group_->memory_asked;
  if (address < kLocalBase || address + static_cast<std::uint64_t>(size) > end) {
    stop(fmt::format("address {} is outside the kernel's {} bytes of local memory",
                     static_cast<std::int64_t>(address) - kLocalBase, group_->memory_asked),
         where);
  }
  if (address % size != 0 && address % kChunk != 0) {
    stop(fmt::format("{} bytes at address {}", size, address - kLocalBase), where);
  }
  return at(*group_, address);
}

void Machine::wrote(Group& group, int item, std::uint32_t address, int size) {
  chunk_at(group, address).writer = item + 1;
  group.items[item].touched.push_back((address - kLocalBase) / kChunk);
  if (size == kChunk) chunk_at(group, address).copier = 0;
}

void Machine::store(Position where, std::uint32_t target, const std::uint32_t* words, int count) {
  item().where = where;
  std::memcpy(at(target, 4 * count, where), words, 4 * static_cast<std::size_t>(count));
  if (chunk_at(*group_, target).bulk) fail("a store onto a bulk copy under way", where);
  wrote(*group_, item_, target, 4 * count);
}

void Machine::load(Position where, std::uint32_t source, std::uint32_t* words, int count) {
  item().where = where;
  std::memcpy(words, at(source, 4 * count, where), 4 * static_cast<std::size_t>(count));
  chunk_at(*group_, source).reader = item_ + 1;
  item().touched.push_back((source - kLocalBase) / kChunk);
}

void Machine::fence_proxy(Position where) {
  maybe_delay(where);
  for (std::uint32_t index : item().touched) {
    Chunk& chunk = group_->chunks[index];
    if (chunk.writer == item_ + 1) chunk.writer = 0;
    if (chunk.reader == item_ + 1) chunk.reader = 0;
  }
  item().touched.clear();
  for (auto& [address, barrier] : group_->barriers) {
    if (barrier.unfenced_by == item_) barrier.unfenced_by = -1;
  }
}

void Machine::use_asynchronously(std::uint32_t address, const char* what, Position where) {
  const Chunk& chunk = chunk_at(*group_, address);
  if (chunk.copier) fail(fmt::format("{} what cp.async still copies", what), where);
  if (chunk.writer) fail(fmt::format("{} what a work-item wrote and did not fence", what), where);
}

// --- Copies of work-items.

void Machine::copy(Position where, std::uint32_t target, const void* source, int size, int bytes) {
  item().where = where;
  const auto* begin = static_cast<const std::byte*>(source);
  if (bytes > 0) {
    if (reinterpret_cast<std::uintptr_t>(source) % size != 0) {
      stop(fmt::format("cp.async of {} bytes from an address that is no multiple", size), where);
    }
    const bool inside = std::ranges::any_of(readable_, [&](const auto& span) {
      return begin >= span.data() && begin + bytes <= span.data() + span.size();
    });
    if (!inside) stop("cp.async reads outside the tensors", where);
  }
  std::byte* to = at(target, size, where);
  Chunk& chunk = chunk_at(*group_, target);
  if (chunk.bulk) fail("cp.async onto a bulk copy under way", where);
  if (size == kChunk) {
    if (chunk.copier) fail("cp.async onto another one under way", where);
    chunk.copier = item_ + 1;
  }
  if (random_.chance(kEarly)) {
    copy_or_zeros(to, source, size, bytes);
  } else {
    poison(to, size);
  }
  item().copies.push_back({target, source, size, bytes});
}

void Machine::commit_copies(Position where) {
  item().where = where;
  item().committed.push_back(std::move(item().copies));
  item().copies.clear();
}

void Machine::finish_copy(Group& group, int item, const Copy& copy) {
  copy_or_zeros(at(group, copy.target), copy.source, copy.size, copy.bytes);
  if (copy.size == kChunk) wrote(group, item, copy.target, copy.size);
}

void Machine::wait_copies(Position where, int pending) {
  maybe_delay(where);
  auto& committed = item().committed;
  while (static_cast<int>(committed.size()) > pending) {
    for (const Copy& copy : committed.front()) finish_copy(*group_, item_, copy);
    committed.pop_front();
  }
}

void Machine::wait_all_copies(Position where) {
  commit_copies(where);
  wait_copies(where, 0);
}

void Machine::copies_arrive(Position where, std::uint32_t barrier) {
  barrier_at(barrier, where);
  Item& self = item();
  Flight flight;
  flight.group = group_;
  flight.barrier = barrier;
  flight.item = item_;
  for (const auto& group : self.committed) {
    flight.copies.insert(flight.copies.end(), group.begin(), group.end());
  }
  flight.copies.insert(flight.copies.end(), self.copies.begin(), self.copies.end());
  self.committed.clear();
  self.copies.clear();
  flights_.push_back(std::move(flight));
  maybe_delay(where);
}

// --- Boxes.

void Machine::set_map_field(Position where, std::uint32_t map, const char* field, int index,
                            std::uint64_t value) {
  item().where = where;
  auto* fields = reinterpret_cast<TensorMap*>(at(map, kMapBytes, where));
  const std::string_view name = field;
  if (map % kMapBytes != 0) stop("a tensor map that is not aligned", where);
  for (int offset = 0; offset < kMapBytes; offset += kChunk) {
    wrote(*group_, item_, map + offset, kChunk);
  }
  if (name == "global_address") {
    fields->address = value;
  } else if (name == "global_stride") {
    fields->strides[index] = value;
  } else if (name == "global_dim") {
    fields->dims[index] = static_cast<std::uint32_t>(value);
  } else if (name == "box_dim") {
    fields->box[index] = static_cast<std::uint16_t>(value);
  } else if (name == "element_stride") {
    fields->element_strides[index] = static_cast<std::uint8_t>(value);
  } else if (name == "elemtype") {
    fields->element = static_cast<std::uint8_t>(value);
  } else if (name == "rank") {
    fields->rank = static_cast<std::uint8_t>(value);
  } else if (name == "interleave_layout") {
    fields->interleave = static_cast<std::uint8_t>(value);
  } else if (name == "swizzle_mode") {
    fields->swizzle = static_cast<std::uint8_t>(value);
  } else if (name == "fill_mode") {
    fields->fill = static_cast<std::uint8_t>(value);
  } else {
    stop(fmt::format("a tensor map has no field {}", field), where);
  }
}

// Each work-item copies a word, and none goes on before all have.
void Machine::release_map(Position where, void* target, std::uint32_t map) {
  maybe_delay(where);
  std::byte* to = static_cast<std::byte*>(target);
  if (map % kMapBytes != 0 || reinterpret_cast<std::uintptr_t>(target) % kMapBytes != 0) {
    stop("a tensor map that is not aligned", where);
  }
  constexpr int kWord = kMapBytes / kWarp;
  const int offset = kWord * (item_ % kWarp);
  load(where, map + offset, reinterpret_cast<std::uint32_t*>(to + offset), 1);
  join("copy of a tensor map", {}, where, [&] {
    released_.insert(target);
    for (const auto& group : groups_) {
      for (Item& item : group->items) item.acquired.erase(target);
    }
  });
}

void Machine::acquire_map(Position where, const void* map) {
  maybe_delay(where);
  if (!released_.contains(map)) fail("a tensor map is acquired that nobody released", where);
  item().acquired.insert(map);
}

void Machine::copy_box(Position where, std::uint32_t target, const void* map,
                       std::array<int, 5> begin, std::uint32_t barrier) {
  maybe_delay(where);
  Flight flight;
  flight.group = group_;
  flight.barrier = barrier;
  std::memcpy(&flight.map, map, sizeof flight.map);
  const TensorMap& fields = flight.map;
  if (!item().acquired.contains(map)) {
    fail("a tensor map is used that was not acquired since it was written", where);
  }
  if (barrier_at(barrier, where).unfenced_by >= 0) {
    fail("a bulk copy tells an mbarrier that was started without a fence", where);
  }
  constexpr int kMostRows = 256, kF16 = 6, kBf16 = 10, kSwizzle128 = 3;
  // What else is in the hardware's map is zeros.
  const std::span others(static_cast<const std::byte*>(map) + sizeof fields,
                         kMapBytes - sizeof fields);
  bool legal = std::ranges::all_of(others, [](std::byte byte) { return byte == std::byte{0}; }) &&
               fields.address != 0 && fields.address % 16 == 0 && fields.rank == 4 &&
               fields.swizzle == kSwizzle128 &&
               (fields.element == kF16 || fields.element == kBf16) && fields.interleave == 0 &&
               fields.fill == 0 && fields.box[0] == kPiece;
  for (int i = 0; i < 5; ++i) {
    legal &= fields.box[i] >= 1 && fields.box[i] <= kMostRows && fields.element_strides[i] == 1;
  }
  for (std::uint64_t stride : fields.strides) {
    legal &= stride != 0 && stride % 16 == 0 && stride >> 40 == 0;
  }
  if (!legal) stop("a tensor map that is not legal, or not as the tiles are", where);
  if (target % kPieceRow != 0) stop("a bulk copy to an address that is not aligned", where);
  flight.target = target;
  flight.bytes = kPieceRow * fields.box[1] * fields.box[2] * fields.box[3] * fields.box[4];
  flight.begin = begin;
  std::byte* to = at(target, flight.bytes, where);
  for (std::uint32_t chunk = target; chunk < target + flight.bytes; chunk += kChunk) {
    use_asynchronously(chunk, "a bulk copy overwrites", where);
    Chunk& state = chunk_at(*group_, chunk);
    if (state.reader) fail("a bulk copy overwrites what was read and not fenced", where);
    if (state.bulk) fail("a bulk copy onto another one under way", where);
    ++state.bulk;
  }
  if (random_.chance(kEarly)) {
    land_box(flight);
  } else {
    poison(to, flight.bytes);
  }
  flights_.push_back(std::move(flight));
}

void Machine::land_box(Flight& flight) {
  const TensorMap& map = flight.map;
  for (int line = 0; line < flight.bytes / kPieceRow; ++line) {
    for (int column = 0; column < map.box[0]; ++column) {
      std::int64_t offset = 0;
      bool exists = true;
      int left = line * map.box[0] + column;  // of the place in the box
      for (int i = 0; i < 5; ++i) {
        const std::int64_t index = flight.begin[i] + left % map.box[i];
        left /= map.box[i];
        exists &= index >= 0 && index < map.dims[i];
        offset += index * (i == 0 ? 2 : static_cast<std::int64_t>(map.strides[i - 1]));
      }
      std::uint16_t element = 0;
      if (exists) {
        const auto* tensor =
            reinterpret_cast<const std::byte*>(static_cast<std::uintptr_t>(map.address));
        std::memcpy(&element, tensor + offset, sizeof element);
      }
      const std::uint32_t address = flight.target + line * kPieceRow + 2 * column;
      std::memcpy(at(*flight.group, swizzled(address)), &element, sizeof element);
    }
  }
  flight.has_landed = true;
}

// A flight ends: the data are there, and its barrier is told.
void Machine::land(std::size_t index) {
  Flight flight = std::move(flights_[index]);
  flights_.erase(flights_.begin() + static_cast<std::ptrdiff_t>(index));
  Group& group = *flight.group;
  if (flight.item >= 0) {
    for (const Copy& copy : flight.copies) finish_copy(group, flight.item, copy);
    count_arrival(group, flight.barrier, {});
    return;
  }
  if (!flight.has_landed) land_box(flight);
  for (int offset = 0; offset < flight.bytes; offset += kChunk) {
    --chunk_at(group, flight.target + offset).bulk;
  }
  Barrier& barrier = group.barriers.at(flight.barrier);
  barrier.bytes -= flight.bytes;
  if (barrier.bytes < 0) {
    fail(fmt::format("copies bring mbarrier {} more bytes than it expects",
                     flight.barrier - kLocalBase));
  }
  complete_phase(group, flight.barrier, barrier);
}

}  // namespace clattn::emulation
