#include "fetch/pkt_line.h"

#include <gtest/gtest.h>

#include <vector>

#include "pack_builder.h"

namespace artifactfs {
namespace {

using testing::bytes_of;

std::string show(const PktLine& packet) {
  switch (packet.kind) {
    case PktLine::Kind::flush:
      return "<flush>";
    case PktLine::Kind::delim:
      return "<delim>";
    case PktLine::Kind::response_end:
      return "<end>";
    case PktLine::Kind::data:
      break;
  }
  return std::string(packet.payload);
}

Result<std::vector<std::string>> read_all(std::string_view wire, size_t slice) {
  PktLineReader reader;
  std::vector<std::string> seen;
  for (size_t begin = 0; begin < wire.size(); begin += slice) {
    reader.feed(bytes_of(wire.substr(begin, slice)));
    for (;;) {
      TRY_ASSIGN(const auto packet, reader.next());
      if (!packet) break;
      seen.push_back(show(*packet));
    }
  }
  if (!reader.at_boundary()) seen.push_back("<cut>");
  return seen;
}

TEST(PktLine, WhatIsWrittenIsReadBackInAnySlices) {
  PktLineWriter writer;
  writer.text("command=ls-refs");
  writer.delim();
  writer.data(std::string("\1\0binary", 8));
  writer.data("");
  writer.data(std::string(kPktLineMaxPayloadBytes, 'x'));
  writer.response_end();
  writer.flush();
  const std::string wire = writer.take();
  EXPECT_TRUE(wire.starts_with("0014command=ls-refs\n0001"));
  const std::vector<std::string> expected{"command=ls-refs\n",
                                          "<delim>",
                                          std::string("\1\0binary", 8),
                                          "",
                                          std::string(kPktLineMaxPayloadBytes, 'x'),
                                          "<end>",
                                          "<flush>"};
  for (const size_t slice : {size_t{1}, size_t{2}, size_t{3}, size_t{5}, size_t{7}, size_t{4096}, wire.size()}) {
    const auto seen = read_all(wire, slice);
    ASSERT_TRUE(seen) << seen.error().text();
    EXPECT_EQ(*seen, expected) << "slices of " << slice;
  }
}

TEST(PktLine, ATruncatedPacketIsNoPacket) {
  for (const std::string_view wire : {"0", "000", "0009", "0009abc"}) {
    const auto seen = read_all(wire, 1);
    ASSERT_TRUE(seen);
    EXPECT_EQ(*seen, std::vector<std::string>{"<cut>"});
  }
}

TEST(PktLine, WhatIsNoLengthIsNamed) {
  for (const auto& [wire, cause] : std::vector<std::pair<std::string, std::string>>{
           {"<!DOCTYPE html>", "'<!DO' is not a packet length"},
           {"0003", "'0003' is not a valid packet length"},
           {"fff1", "'fff1' is longer than a packet may be"},
           {std::string("00\n1", 4), "'00?1' is not a packet length"},
       }) {
    for (const size_t slice : {size_t{1}, size_t{64}}) {
      const auto seen = read_all(wire, slice);
      ASSERT_FALSE(seen) << wire;
      EXPECT_EQ(seen.error().code, ErrorCode::protocol);
      EXPECT_EQ(seen.error().cause, cause);
    }
  }
}

TEST(PktLine, ErrorPacketsAreRecognised) {
  PktLineReader reader;
  const std::string wire = "0022ERR upload-pack: not our ref x\n";
  reader.feed(bytes_of(wire));
  const auto packet = reader.next();
  ASSERT_TRUE(packet && *packet);
  EXPECT_EQ((*packet)->error_words(), "upload-pack: not our ref x");
  EXPECT_FALSE((PktLine{PktLine::Kind::data, "ERROR"}).error_words());
}

TEST(PktLine, TheLongestPacketIsTheLongestOne) {
  const std::string wire = "fff0" + std::string(kPktLineMaxPayloadBytes, 'y');
  const auto seen = read_all(wire, 1000);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->front().size(), kPktLineMaxPayloadBytes);
}

}  // namespace
}  // namespace artifactfs
