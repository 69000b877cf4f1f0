// Contents for blob tests, and the questions the tests ask about a store.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <random>
#include <vector>

#include "base/sha1.h"
#include "cache/blob_store.h"

namespace artifactfs {

/// `size` bytes that compress well; different for each seed (as far as the size lets them be).
inline std::vector<std::byte> text_content(unsigned seed, size_t size) {
  std::vector<std::byte> content(size);
  std::minstd_rand random(seed + 1);
  const auto salt = static_cast<unsigned>(random());
  for (size_t i = 0; i < size; ++i) {
    if (i % 4 == 0)
      content[i] = static_cast<std::byte>(salt >> (i % 32));
    else
      content[i] = static_cast<std::byte>("the quick brown fox "[(i + salt % 19) % 20]);
  }
  return content;
}

/// `size` bytes that do not compress.
inline std::vector<std::byte> random_content(unsigned seed, size_t size) {
  std::vector<std::byte> content(size);
  std::mt19937 random(seed);
  for (std::byte& byte : content) byte = static_cast<std::byte>(random());
  return content;
}

inline ObjectId id_of(const std::vector<std::byte>& content) { return hash_object(ObjectType::blob, content); }

inline std::unique_ptr<BlobStore> open_blob_store(const std::filesystem::path& directory) {
  auto store = BlobStore::open(directory);
  EXPECT_TRUE(store) << store.error().text();
  return store ? std::move(*store) : nullptr;
}

/// Whether the whole content reads back as it is.
inline bool reads_as(BlobStore& store, const std::vector<std::byte>& content) {
  std::vector<std::byte> into(content.size() + 1);
  const auto got = store.read(id_of(content), 0, into);
  if (!got || *got != content.size()) return false;
  into.resize(content.size());
  return into == content;
}

inline std::vector<std::filesystem::path> segment_files(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory / "segments")) files.push_back(entry.path());
  return files;
}

inline uint64_t segment_bytes(const std::filesystem::path& directory) {
  uint64_t bytes = 0;
  for (const auto& file : segment_files(directory)) bytes += std::filesystem::file_size(file);
  return bytes;
}

}  // namespace artifactfs
