// Reply and ParkedReplies against a libfuse session whose kernel is this test: requests are made here, answers caught.
#include "fuse/reply.h"

#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "base/unique_fd.h"

namespace artifactfs {
namespace {

struct Answer {
  uint64_t unique;
  int errnum;
  size_t bytes;
};

class CancellableTicket final : public ParkedOperation {
 public:
  explicit CancellableTicket(std::atomic<int>& cancelled) : cancelled_(cancelled) {}
  void cancel() noexcept override { ++cancelled_; }

 private:
  std::atomic<int>& cancelled_;
};

class ReplyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fuse_args args = FUSE_ARGS_INIT(0, nullptr);
    fuse_opt_add_arg(&args, "test");
    fuse_lowlevel_ops operations{};
    operations.getattr = [](fuse_req_t request, fuse_ino_t, fuse_file_info*) { self(request).request_ = request; };
    session_ = fuse_session_new(&args, &operations, sizeof operations, this);
    fuse_opt_free_args(&args);
    ASSERT_NE(nullptr, session_);
    const fuse_custom_io io{.writev = catch_answer,
                            .read = [](int, void*, size_t, void*) -> ssize_t { return -1; },
                            .splice_receive = nullptr,
                            .splice_send = nullptr};
    ASSERT_EQ(0, fuse_session_custom_io(session_, &io, open_file("/dev/null", O_RDWR)->release()));
    fuse_init_in init{};
    init.major = 7;
    init.minor = 31;
    send(FUSE_INIT, &init, sizeof init);
    answers_.clear();
  }
  void TearDown() override { fuse_session_destroy(session_); }

  static ReplyTest& self(fuse_req_t request) { return *static_cast<ReplyTest*>(fuse_req_userdata(request)); }
  static ssize_t catch_answer(int, iovec* parts, int count, void* user) {
    fuse_out_header header;
    std::memcpy(&header, parts[0].iov_base, sizeof header);
    size_t bytes = 0;
    for (int i = 0; i < count; ++i) bytes += parts[i].iov_len;
    auto& test = *static_cast<ReplyTest*>(user);
    MutexLock lock(test.mutex_);
    test.answers_.push_back({header.unique, -header.error, bytes - sizeof header});
    return static_cast<ssize_t>(bytes);
  }

  void send(uint32_t opcode, const void* argument, size_t size) {
    alignas(8) std::byte bytes[512] = {};
    fuse_in_header header{};
    header.len = static_cast<uint32_t>(sizeof header + size);
    header.opcode = opcode;
    header.unique = ++unique_;
    header.nodeid = 1;
    header.pid = 4711;
    std::memcpy(bytes, &header, sizeof header);
    std::memcpy(bytes + sizeof header, argument, size);
    fuse_buf buffer{};
    buffer.mem = bytes;
    buffer.size = header.len;
    fuse_session_process_buf(session_, &buffer);
  }
  fuse_req_t request() {
    fuse_getattr_in getattr{};
    send(FUSE_GETATTR, &getattr, sizeof getattr);
    return request_;
  }
  void interrupt(uint64_t unique) {
    fuse_interrupt_in argument{};
    argument.unique = unique;
    send(FUSE_INTERRUPT, &argument, sizeof argument);
  }
  std::vector<Answer> answers() {
    MutexLock lock(mutex_);
    return answers_;
  }
  static void note(fuse_req_t request, void* id) { self(request).noted_ = reinterpret_cast<uint64_t>(id); }

  fuse_session* session_ = nullptr;
  fuse_req_t request_ = nullptr;
  uint64_t unique_ = 0;
  uint64_t noted_ = 0;
  Mutex mutex_;
  std::vector<Answer> answers_;
  std::shared_ptr<ParkedReplies> table_ = std::make_shared<ParkedReplies>();
  std::atomic<int> cancelled_ = 0;
};

TEST_F(ReplyTest, DestroyedUnansweredIsAnInputOutputError) {
  { Reply reply(request()); }
  ASSERT_EQ(1u, answers().size());
  EXPECT_EQ(EIO, answers()[0].errnum);
  { Reply reply(std::make_shared<PendingReply>(request(), table_)); }
  ASSERT_EQ(2u, answers().size());
  EXPECT_EQ(EIO, answers()[1].errnum);
}

TEST_F(ReplyTest, OnlyTheFirstAnswerIsSent) {
  {
    Reply reply(request());
    reply.errnum(ENOENT);
    reply.errnum(EPERM);
  }
  ASSERT_EQ(1u, answers().size());
  EXPECT_EQ(ENOENT, answers()[0].errnum);
}

TEST_F(ReplyTest, MovedFromAnswersNothing) {
  {
    Reply first(request());
    Reply second(std::move(first));
    second.data({});
  }
  ASSERT_EQ(1u, answers().size());
  EXPECT_EQ(0, answers()[0].errnum);
}

TEST_F(ReplyTest, ErrorsGoThroughTheTable) {
  Reply(request()).error({ErrorCode::no_attribute, "", ""});
  EXPECT_EQ(ENODATA, answers().at(0).errnum);
}

TEST_F(ReplyTest, AttributeValueProtocol) {
  const std::string value = "12345";
  Reply(request()).attribute_value(value, 0);
  Reply(request()).attribute_value(value, 4);
  Reply(request()).attribute_value(value, 5);
  ASSERT_EQ(3u, answers().size());
  EXPECT_EQ(sizeof(fuse_getxattr_out), answers()[0].bytes);
  EXPECT_EQ(ERANGE, answers()[1].errnum);
  EXPECT_EQ(5u, answers()[2].bytes);
}

TEST_F(ReplyTest, AnsweredBeforeParkingIsNotParked) {
  const auto pending = std::make_shared<PendingReply>(request(), table_);
  Reply(pending).errnum(ENOENT);
  table_->park(pending, nullptr, &note);
  EXPECT_EQ(0u, table_->size());
}

TEST_F(ReplyTest, ParkedIsForgottenWhenAnswered) {
  const auto pending = std::make_shared<PendingReply>(request(), table_);
  Reply reply(pending);
  table_->park(pending, nullptr, &note);
  EXPECT_EQ(1u, table_->size());
  EXPECT_TRUE(answers().empty());
  reply.data({});
  EXPECT_EQ(0u, table_->size());
  EXPECT_EQ(1u, answers().size());
}

TEST_F(ReplyTest, InterruptBeforeOrAfterParkingIsNoted) {
  for (const bool before : {true, false}) {
    const auto pending = std::make_shared<PendingReply>(request(), table_);
    const uint64_t unique = unique_;
    if (before) interrupt(unique);
    table_->park(pending, std::make_shared<CancellableTicket>(cancelled_), &note);
    if (!before) interrupt(unique);
    EXPECT_EQ(4711, table_->waiting_thread(noted_));
    table_->abandon(noted_, EINTR);
    EXPECT_FALSE(table_->waiting_thread(noted_));
  }
  EXPECT_EQ(2, cancelled_);
  ASSERT_EQ(2u, answers().size());
  EXPECT_EQ(EINTR, answers()[0].errnum);
  EXPECT_EQ(EINTR, answers()[1].errnum);
}

TEST_F(ReplyTest, CompletionAfterAbandoningSaysNothing) {
  const auto pending = std::make_shared<PendingReply>(request(), table_);
  Reply reply(pending);
  table_->park(pending, nullptr, &note);
  table_->close();
  table_->wait_until_idle();  // although the completion still holds its Reply
  reply.data({});
  ASSERT_EQ(1u, answers().size());
  EXPECT_EQ(EIO, answers()[0].errnum);
}

TEST_F(ReplyTest, NothingIsParkedOnceClosed) {
  table_->close();
  const auto pending = std::make_shared<PendingReply>(request(), table_);
  table_->park(pending, std::make_shared<CancellableTicket>(cancelled_), &note);
  EXPECT_EQ(0u, table_->size());
  EXPECT_EQ(1, cancelled_);
  EXPECT_EQ(EIO, answers().at(0).errnum);
}

TEST_F(ReplyTest, RaceOfCompletionAndAbandoningAnswersOnce) {
  constexpr int kRounds = 2000;
  for (int i = 0; i < kRounds; ++i) {
    const auto pending = std::make_shared<PendingReply>(request(), table_);
    std::thread completion([reply = Reply(pending)]() mutable { reply.data({}); });
    table_->park(pending, nullptr, &note);
    table_->abandon(static_cast<uint64_t>(i) + 1, EINTR);
    completion.join();
  }
  EXPECT_EQ(static_cast<size_t>(kRounds), answers().size());
  EXPECT_EQ(0u, table_->size());
  table_->close();
  table_->wait_until_idle();
}

TEST(ToEntry, UnknownSizeMayNotBeCached) {
  Attributes attributes;
  attributes.inode = 7;
  EXPECT_GT(to_entry(attributes).attr_timeout, 1e8);
  attributes.size_known = false;
  EXPECT_EQ(0, to_entry(attributes).attr_timeout);
  EXPECT_GT(to_entry(attributes).entry_timeout, 1e8);
  EXPECT_EQ(7u, to_entry(attributes).attr.st_ino);
}

}  // namespace
}  // namespace artifactfs
