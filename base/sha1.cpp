#include "base/sha1.h"

#include <openssl/evp.h>

#include <charconv>
#include <new>

namespace artifactfs {

struct Sha1::Context {
  EVP_MD_CTX* md = EVP_MD_CTX_new();
  Context() {
    if (md == nullptr) throw std::bad_alloc();
  }
  ~Context() { EVP_MD_CTX_free(md); }
};

Sha1::Sha1() : context_(std::make_unique<Context>()) { reset(); }
Sha1::~Sha1() = default;
Sha1::Sha1(Sha1&&) noexcept = default;
Sha1& Sha1::operator=(Sha1&&) noexcept = default;

void Sha1::reset() {
  static const EVP_MD* const kSha1 = EVP_sha1();
  EVP_DigestInit_ex(context_->md, kSha1, nullptr);
}

void Sha1::begin_object(ObjectType type, uint64_t size_bytes) {
  reset();
  char header[40];
  const std::string_view name = to_string(type);
  char* end = std::copy(name.begin(), name.end(), header);
  *end++ = ' ';
  end = std::to_chars(end, header + sizeof header - 1, size_bytes).ptr;
  *end++ = '\0';
  update(std::as_bytes(std::span(header, static_cast<size_t>(end - header))));
}

void Sha1::update(std::span<const std::byte> bytes) { EVP_DigestUpdate(context_->md, bytes.data(), bytes.size()); }

ObjectId Sha1::finish() {
  ObjectId id;
  EVP_DigestFinal_ex(context_->md, reinterpret_cast<unsigned char*>(id.bytes.data()), nullptr);
  return id;
}

ObjectId hash_object(ObjectType type, std::span<const std::byte> content) {
  thread_local Sha1 hasher;
  hasher.begin_object(type, content.size());
  hasher.update(content);
  return hasher.finish();
}

}  // namespace artifactfs
