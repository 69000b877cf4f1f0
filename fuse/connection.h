// Connection: what every operation needs of its session; libfuse hands it to each as the user data.
#pragma once

#include <memory>

#include "fuse/interrupts.h"
#include "fuse/kernel_settings.h"
#include "fuse/reply.h"

namespace artifactfs {

struct Connection {
  Filesystem& filesystem;
  KernelSettings settings;
  std::shared_ptr<ParkedReplies> replies = std::make_shared<ParkedReplies>();
  InterruptWatcher interrupts{*replies};
};

}  // namespace artifactfs
