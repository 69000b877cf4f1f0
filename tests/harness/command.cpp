#include "tests/harness/command.h"

#include <chrono>
#include <stdexcept>

namespace artifactfs::test {

std::string run(const std::vector<std::string>& argv, const Environment& environment,
                const std::filesystem::path& directory, std::string_view input) {
  SubprocessOptions options;
  options.argv = argv;
  options.environment = environment;
  options.working_directory = directory.string();
  auto output = run_subprocess(options, input, Clock::system().now() + std::chrono::minutes(2));
  std::string line;
  for (const auto& word : argv) line += (line.empty() ? "" : " ") + word;
  if (!output) throw std::runtime_error(line + ": " + output.error().text());
  if (output->status != 0) {
    throw std::runtime_error(line + ": exit status " + std::to_string(output->status) + ": " + output->err);
  }
  return std::move(output->out);
}

}  // namespace artifactfs::test
