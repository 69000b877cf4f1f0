#include "cache/segment.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <random>

#include "cache/little_endian.h"

namespace artifactfs {

namespace {

constexpr uint32_t kSegmentMagic = 0x31475341;  // "ASG1"
constexpr uint32_t kSegmentVersion = 1;
constexpr uint32_t kFrameMagic = 0x31524641;  // "AFR1"
constexpr uint32_t kCompressedFlag = 1;
constexpr size_t kFrameChecksumAt = 16;

uint32_t checksum_of(std::span<const std::byte> bytes, uint32_t before = 0) {
  return static_cast<uint32_t>(::crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// `frame`: header (its checksum field unread) and stored bytes.
uint32_t frame_checksum(uint64_t segment_id, uint64_t offset, std::span<const std::byte> frame) {
  std::array<std::byte, 16> place;
  store_le(place.data(), segment_id);
  store_le(place.data() + 8, offset);
  return checksum_of(frame.subspan(kFrameHeaderBytes), checksum_of(frame.first(kFrameChecksumAt), checksum_of(place)));
}

}  // namespace

Result<std::shared_ptr<SegmentWriter>> SegmentWriter::create(const std::filesystem::path& path, uint32_t number) {
  TRY_ASSIGN(UniqueFd fd, open_file(path, O_RDWR | O_CREAT | O_EXCL));
  // Between the creation and the lock, another process that is just opening the store may take the file for garbage.
  struct stat status = {};
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 || ::fstat(fd.get(), &status) != 0 || status.st_nlink == 0) {
    return fail(ErrorCode::already_exists, "cannot claim segment '" + path.string() + "'");
  }
  std::random_device random;
  const uint64_t id = (uint64_t{random()} << 32) | random();
  std::array<std::byte, kSegmentHeaderBytes> header;
  store_le(header.data(), kSegmentMagic);
  store_le(header.data() + 4, kSegmentVersion);
  store_le(header.data() + 8, id);
  store_le(header.data() + 16, checksum_of(std::span(header).first(16)));
  if (auto written = pwrite_all(fd.get(), header, 0); !written) {
    ::unlink(path.c_str());
    return fail(written.error().within("cannot begin segment '" + path.string() + "'"));
  }
  return std::shared_ptr<SegmentWriter>(new SegmentWriter(std::move(fd), path, number, id));
}

Result<FrameLocation> SegmentWriter::append(std::span<std::byte> frame, uint32_t content_bytes, bool compressed) {
  FrameLocation location;
  location.stored_bytes = static_cast<uint32_t>(frame.size() - kFrameHeaderBytes);
  location.compressed = compressed;
  location.offset = end_.fetch_add(frame.size(), std::memory_order_relaxed);
  store_le(frame.data(), kFrameMagic);
  store_le(frame.data() + 4, content_bytes);
  store_le(frame.data() + 8, location.stored_bytes);
  store_le(frame.data() + 12, compressed ? kCompressedFlag : 0);
  location.checksum = frame_checksum(id_, location.offset, frame);
  store_le(frame.data() + kFrameChecksumAt, location.checksum);
  if (auto written = pwrite_all(fd_.get(), frame, location.offset); !written) {
    // If no one has reserved behind it, the next frame takes this one's place (and what the disk had given for it).
    uint64_t end = location.offset + frame.size();
    end_.compare_exchange_strong(end, location.offset, std::memory_order_relaxed);
    return fail(written.error().within("cannot write to segment '" + path_.string() + "'"));
  }
  return location;
}

Result<std::shared_ptr<const SegmentReader>> SegmentReader::open(const std::filesystem::path& path) {
  TRY_ASSIGN(UniqueFd fd, open_file(path, O_RDONLY));
  std::array<std::byte, kSegmentHeaderBytes> header;
  const auto got = pread_some(fd.get(), header, 0);
  if (!got || *got != header.size() || load_le<uint32_t>(header.data()) != kSegmentMagic ||
      load_le<uint32_t>(header.data() + 4) != kSegmentVersion ||
      load_le<uint32_t>(header.data() + 16) != checksum_of(std::span(header).first(16))) {
    return fail(ErrorCode::corrupt, "cannot use segment '" + path.string() + "'", "its header is damaged");
  }
  const auto id = load_le<uint64_t>(header.data() + 8);
  return std::shared_ptr<const SegmentReader>(new SegmentReader(std::move(fd), path, id));
}

Result<std::span<const std::byte>> SegmentReader::read(const FrameLocation& location, uint32_t content_bytes,
                                                       std::span<std::byte> buffer) const {
  const auto frame = buffer.first(kFrameHeaderBytes + location.stored_bytes);
  const auto damaged = [&](std::string cause) {
    return fail(ErrorCode::corrupt,
                "cannot read the frame at " + std::to_string(location.offset) + " of '" + path_.string() + "'",
                std::move(cause));
  };
  const auto got = pread_some(fd_.get(), frame, location.offset);
  if (!got) return damaged(got.error().text());  // a bad sector: as good as wrong bytes, the content is fetched again
  if (*got != frame.size()) return damaged("the file ends before it");
  if (load_le<uint32_t>(frame.data()) != kFrameMagic || load_le<uint32_t>(frame.data() + 4) != content_bytes ||
      load_le<uint32_t>(frame.data() + 8) != location.stored_bytes ||
      load_le<uint32_t>(frame.data() + 12) != (location.compressed ? kCompressedFlag : 0) ||
      load_le<uint32_t>(frame.data() + kFrameChecksumAt) != location.checksum) {
    return damaged("another frame stands there");
  }
  if (frame_checksum(id_, location.offset, frame) != location.checksum) return damaged("its checksum does not fit");
  return frame.subspan(kFrameHeaderBytes);
}

}  // namespace artifactfs
