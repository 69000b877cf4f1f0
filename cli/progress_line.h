// ProgressLine: what is going on, as one line on standard error that is rewritten; nothing unless that is a terminal.
#pragma once

#include <string>

namespace artifactfs::cli {

class ProgressLine {
 public:
  ProgressLine();
  /// Clears the line.
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(const std::string& text);

 private:
  bool enabled_;
  bool shown_ = false;
};

}  // namespace artifactfs::cli
