// PktLineReader: the first byte is how the rest is sliced. However it is sliced, the packets must be the same.
#include <algorithm>

#include "fetch/pkt_line.h"
#include "fuzz_target.h"
#include "pack_builder.h"

namespace artifactfs::testing {

namespace {

/// Everything that comes out, as one string.
std::string read_all(std::string_view wire, size_t slice) {
  PktLineReader reader;
  std::string seen;
  for (size_t begin = 0; begin < wire.size(); begin += slice) {
    reader.feed(bytes_of(wire.substr(begin, slice)));
    for (;;) {
      const auto packet = reader.next();
      if (!packet) return seen + "!" + packet.error().text();
      if (!*packet) break;
      require((*packet)->payload.size() <= kPktLineMaxPayloadBytes, "a packet is too long");
      seen += std::to_string(static_cast<int>((*packet)->kind)) + ":" + std::string((*packet)->payload) + "\n";
      if (const auto words = (*packet)->error_words()) seen += "error " + std::string(*words);
    }
  }
  return seen + (reader.at_boundary() ? "." : "~");
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  PktLineWriter writer;
  writer.text("version 2");
  writer.text("fetch=shallow filter");
  writer.delim();
  writer.text("ERR upload-pack: not our ref");
  writer.data("");
  writer.data(std::string(300, 'x'));
  writer.response_end();
  writer.flush();
  const std::string wire = writer.take();
  return {std::string("\1") + wire, std::string("\7") + wire, "\5fff0", "\2<!DOCTYPE html>",
          std::string("\3") + "0003"};
}

}  // namespace artifactfs::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace artifactfs::testing;
  if (size == 0) return 0;
  const std::string_view wire(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string sliced = read_all(wire, size_t{1} + data[0]);
  require(sliced == read_all(wire, std::max<size_t>(wire.size(), 1)), "slices change what is read");
  return 0;
}
