// libfuse's low-level API at the version this project is written against. Included only inside fuse/ and its tests.
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
