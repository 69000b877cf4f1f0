// FetchAnswerParser: the answer to a protocol v2 `fetch` command (gitprotocol-v2(5)): its sections, and within the
// packfile section the three bands (gitprotocol-common(5), side-band-64k): pack, progress, last words. Pure but for
// what it hands on; not thread-safe; one instance an answer.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/object_id.h"
#include "fetch/pack_reader.h"
#include "fetch/pkt_line.h"

namespace artifactfs {

struct FetchAnswer {
  std::vector<ObjectId> shallow;
  std::vector<ObjectId> unshallow;
  uint64_t objects = 0;
  uint64_t pack_bytes = 0;
};

class FetchAnswerParser {
 public:
  using Progress = std::function<void(std::string_view)>;
  using PackBytes = std::function<Result<void>(std::span<const std::byte>)>;
  static constexpr size_t kMaxProgressLineBytes = 4096;  // a longer one is handed on in pieces

  /// All must outlive the parser. `pack_bytes` sees the pack's bytes before `reader` does.
  FetchAnswerParser(PackReader& reader, const Progress& progress, const PackBytes& pack_bytes);

  /// True when `packet` was the last: then the pack has been finished too.
  Result<bool> take(const PktLine& packet);
  const FetchAnswer& answer() const { return answer_; }

 private:
  enum class Section : uint8_t { none, acknowledgments, shallow_info, wanted_refs, packfile };

  Result<void> begin_section(std::string_view name);
  Result<void> take_shallow_info(std::string_view line);
  Result<void> take_band(std::string_view payload);
  Result<void> take_pack(std::string_view bytes);
  void take_progress(std::string_view text);
  void flush_progress();
  Result<void> end();

  PackReader& reader_;
  const Progress& progress_;
  const PackBytes& pack_bytes_;
  Section section_ = Section::none;
  FetchAnswer answer_;
  const uint64_t objects_before_;
  std::string progress_line_;
};

}  // namespace artifactfs
