// PackReader. An input's first byte chooses: 'r', the rest is a pack as it stands; 'a', the rest is a plan from which a
// pack is assembled whose zlib streams and checksum are right, so that what lies behind them is reached: the headers,
// the deltas, and which base each has. Whatever comes in, no object may have a wrong name.
#include <algorithm>

#include "base/sha1.h"
#include "fetch/pack_reader.h"
#include "fuzz_target.h"
#include "pack_builder.h"
#include "recording_sink.h"

namespace artifactfs::testing {

namespace {

// Small, so that every way through the reader is met with small inputs.
constexpr PackReaderLimits kSmall{.base_cache_bytes = 1000,
                                  .max_cached_base_bytes = 64,
                                  .max_pending_deltas_bytes = 2000,
                                  .max_object_bytes = 1 << 20,
                                  .max_delta_depth = 5};
constexpr PackReaderLimits kLarge{.max_object_bytes = 1 << 20};

void read_twice(const std::string& pack) {
  RecordingSink at_once, in_slices;
  const auto first = read_pack(pack, at_once, kLarge);
  (void)read_pack(pack, in_slices, kSmall, 7);
  for (const RecordingSink* sink : {&at_once, &in_slices})
    require(sink->breaches.empty(), sink->breaches.empty() ? "" : sink->breaches.front());
  if (first) require(at_once.entries.size() == at_once.announced, "objects are missing");
}

/// The plan: entries of one byte kind, one byte "which base", one byte length, and so many bytes of content.
std::string assemble(std::string_view plan) {
  constexpr size_t kMaxEntries = 40;
  struct Made {
    uint64_t offset;
    ObjectId oid;
  };
  std::vector<Made> made;
  PackBuilder counted(0);
  std::string entries;
  const uint64_t header = counted.size();
  while (plan.size() >= 3 && made.size() < kMaxEntries) {
    const auto kind = static_cast<uint8_t>(plan[0]) % 8;
    const auto which = static_cast<uint8_t>(plan[1]);
    const size_t length = std::min<size_t>(static_cast<uint8_t>(plan[2]), plan.size() - 3);
    const std::string content(plan.substr(3, length));
    plan.remove_prefix(3 + length);
    const uint64_t here = header + entries.size();
    const Made* base = made.empty() ? nullptr : &made[which % made.size()];
    ObjectId oid = hash_object(ObjectType::blob, bytes_of(content));
    std::string entry = entry_header(static_cast<unsigned>(kind), content.size());
    if (kind == kOffsetDelta) entry += base_distance(base != nullptr && which != 255 ? here - base->offset : which);
    if (kind == kReferenceDelta) {
      // Of what comes or came, or of an object whose content is the one byte `which`.
      const char byte = static_cast<char>(which);
      const ObjectId id =
          base != nullptr && which < 128 ? base->oid : hash_object(ObjectType::blob, bytes_of({&byte, 1}));
      entry.append(reinterpret_cast<const char*>(id.bytes.data()), ObjectId::kBytes);
    }
    entries += entry + deflated(content);
    made.push_back({here, oid});
  }
  PackBuilder pack(static_cast<uint32_t>(made.size()));
  pack.add_raw(entries);
  return pack.finish();
}

std::string planned(unsigned kind, unsigned which, std::string_view content) {
  return std::string{static_cast<char>(kind), static_cast<char>(which), static_cast<char>(content.size())} +
         std::string(content);
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  const std::string base = "the base of several deltas, somewhat longer than one instruction and than the small limit";
  const auto size = static_cast<uint32_t>(base.size());
  const std::string delta = DeltaBuilder(size, size + 3).copy(0, size).insert("abc").text();
  const std::string middle = DeltaBuilder(size, 30).copy(10, 20).copy(5, 10).text();
  const std::string of_middle = DeltaBuilder(30, 31).insert("x").copy(0, 30).text();
  const std::string of_one_byte = DeltaBuilder(1, 2).copy(0, 1).insert("!").text();
  PackBuilder pack(4);
  const uint64_t first = pack.add(ObjectType::blob, base);
  const uint64_t second = pack.add_offset_delta(first, middle);
  pack.add_reference_delta(hash_object(ObjectType::blob, bytes_of(base)), delta);
  pack.add_offset_delta(second, of_middle);
  PackBuilder waiting(2);
  waiting.add_reference_delta(hash_object(ObjectType::blob, bytes_of(base)), delta);
  waiting.add(ObjectType::blob, base);
  return {"r" + pack.finish(),
          "r" + waiting.finish(),
          "r" + PackBuilder(0).finish(),
          "a" + planned(3, 0, base) + planned(6, 0, delta) + planned(7, 0, middle) + planned(6, 2, of_middle) +
              planned(1, 0, "commit"),
          "a" + planned(7, 128, of_one_byte) + planned(6, 0, DeltaBuilder(2, 2).copy(0, 2).text()) +
              planned(3, 0, std::string(1, static_cast<char>(128))),
          "a" + planned(2, 0, "") + planned(4, 0, "tag")};
}

}  // namespace artifactfs::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace artifactfs::testing;
  if (size == 0) return 0;
  const std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  read_twice(data[0] == 'a' ? assemble(rest) : rest);
  return 0;
}
