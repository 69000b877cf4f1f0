// ProtocolClient: the input is what a server says. Its first byte chooses the question (capabilities, refs, fetch,
// sizes), the second how the answer is sliced; the answer is used for the advertisement too, after a false memory.
#include <algorithm>

#include "base/sha1.h"
#include "fake_transport.h"
#include "fetch/protocol.h"
#include "fuzz_target.h"
#include "pack_builder.h"
#include "recording_sink.h"

namespace artifactfs::testing {

namespace {

const ObjectId kBlob = hash_object(ObjectType::blob, bytes_of("hello"));

ServerCapabilities everything() {
  return {.fetch_shallow = true,
          .fetch_filter = true,
          .object_info = true,
          .ref_prefix_unborn = true,
          .object_format_advertised = true,
          .agent = "git/2"};
}

void check_refs(const std::vector<RemoteRef>& refs) {
  for (const auto& ref : refs) {
    require(is_valid_ref_name(ref.name), "a bad ref name came through");
    require(!ref.symbolic_target || is_valid_ref_name(*ref.symbolic_target), "a bad target came through");
  }
}

void ask(uint8_t question, ProtocolClient& client) {
  RecordingSink sink;
  PackReader reader(sink, {.max_object_bytes = 1 << 20});
  switch (question % 4) {
    case 0:
      if (const auto c = client.capabilities()) {
        require(c->object_format == "sha1", "another object format came through");
        require(parse_capabilities(serialize_capabilities(*c)).has_value(), "capabilities cannot be remembered");
      }
      break;
    case 1:
      if (const auto refs = client.ls_refs({})) check_refs(*refs);
      break;
    case 2:
      (void)client.fetch({.wants = {kBlob}, .deepen = 1, .filter = "blob:none"}, reader, [](std::string_view) {});
      require(sink.breaches.empty(), sink.breaches.empty() ? "" : sink.breaches.front());
      break;
    default:
      if (const auto sizes = client.object_sizes(std::vector{kBlob})) require(sizes->size() == 1, "sizes are missing");
  }
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  const std::string a(40, 'a'), b(40, 'b');
  PackBuilder pack(2);
  const uint64_t base = pack.add(ObjectType::blob, "hello");
  pack.add_offset_delta(base, DeltaBuilder(5, 6).copy(0, 5).insert("!").text());
  const std::string v2 = packets({"version 2", "agent=git/2.39", "ls-refs=unborn", "fetch=shallow filter",
                                  "object-info", "object-format=sha1", "0000"});
  const std::string v0 = packets({a + " HEAD" + std::string(1, '\0') + "symref=HEAD:refs/heads/main agent=git/2",
                                  a + " refs/heads/main", b + " refs/tags/v1", a + " refs/tags/v1^{}", "0000"});
  const std::string refs = packets({a + " HEAD symref-target:refs/heads/main", a + " refs/heads/main",
                                    b + " refs/tags/v1 peeled:" + a, "unborn HEAD symref-target:refs/heads/x", "0000"});
  const std::string fetch = packets({"acknowledgments", "NAK", "0001", "shallow-info", "shallow " + a, "unshallow " + b,
                                     "0001", "packfile", "\2progress\r"}) +
                            band_1(pack.finish(), 30) + packets({"\2done", "0000"});
  const std::string refusal = packets({"packfile", "\3upload-pack: not our ref " + a});
  const std::string sizes = packets({"size", kBlob.hex() + " 5", a + " ", "0000"});
  std::vector<std::string> seeds;
  for (const std::string& slice : {std::string(1, '\0'), std::string("\5")}) {
    for (const std::string& greeting : {v2, v0, packets({"version 1"}) + v0})
      seeds.insert(seeds.end(), {std::string(1, '\0') + slice + greeting, "\1" + slice + greeting});
    seeds.insert(seeds.end(),
                 {"\1" + slice + refs, "\2" + slice + fetch, "\2" + slice + refusal, "\3" + slice + sizes});
  }
  return seeds;
}

}  // namespace artifactfs::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace artifactfs;
  using namespace artifactfs::testing;
  if (size < 2) return 0;
  const FakeAnswer answer{std::string(reinterpret_cast<const char*>(data) + 2, size - 2), data[1]};
  for (const bool remembers : {true, false}) {
    FakeTransport transport;
    transport.advertisements = {answer, answer};
    transport.answers = {answer, answer};
    ProtocolClient client(transport, remembers ? std::optional(everything()) : std::nullopt);
    ask(data[0], client);
  }
  return 0;
}
