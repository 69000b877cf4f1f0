// Raw tree objects for tests, written independently of the code under test.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "base/object_id.h"
#include "base/sha1.h"

namespace artifactfs {

inline std::vector<std::byte> bytes_of(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

inline ObjectId blob_id(std::string_view content) { return hash_object(ObjectType::blob, bytes_of(content)); }

/// Takes entries in any order and sorts them as git does, unless told not to.
class RawTreeBuilder {
 public:
  RawTreeBuilder& add(std::string mode, std::string name, const ObjectId& oid) {
    entries_.push_back({std::move(mode), std::move(name), oid});
    return *this;
  }
  RawTreeBuilder& file(std::string name) {
    const ObjectId oid = blob_id(name);
    return add("100644", std::move(name), oid);
  }
  RawTreeBuilder& directory(std::string name, const ObjectId& tree) { return add("40000", std::move(name), tree); }

  std::vector<std::byte> bytes(bool sorted = true) const {
    auto entries = entries_;
    const auto key = [](const Entry& e) { return e.name + (e.mode == "40000" ? "/" : ""); };
    if (sorted)
      std::sort(entries.begin(), entries.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
    std::string raw;
    for (const Entry& entry : entries) {
      raw += entry.mode + " " + entry.name + '\0';
      raw.append(reinterpret_cast<const char*>(entry.oid.bytes.data()), ObjectId::kBytes);
    }
    return bytes_of(raw);
  }

 private:
  struct Entry {
    std::string mode;
    std::string name;
    ObjectId oid;
  };
  std::vector<Entry> entries_;
};

}  // namespace artifactfs
