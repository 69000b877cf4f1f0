#include "daemon/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <map>
#include <utility>

namespace artifactfs {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

class Families {
 public:
  void add(const std::string& name, const std::string& help, MetricType type, std::vector<ClientMetric::Label> labels,
           double value) {
    MetricFamily& family = families_[name];
    family.name = name;
    family.help = help;
    family.type = type;
    ClientMetric metric;
    metric.label = std::move(labels);
    (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    family.metric.push_back(std::move(metric));
  }

  std::string text() const {
    std::vector<MetricFamily> all;
    all.reserve(families_.size());
    for (const auto& [name, family] : families_) all.push_back(family);
    return prometheus::TextSerializer().Serialize(all);
  }

 private:
  std::map<std::string, MetricFamily> families_;
};

}  // namespace

std::string metrics_text(const std::vector<control::MountStatus>& mounts) {
  Families families;
  std::map<std::string, double> by_phase;
  std::map<std::string, const control::MountStatus*> by_remote;
  for (const auto& mount : mounts) {
    by_phase[mount.phase] += 1;
    if (mount.phase == "unmounted" || mount.phase == "failed") continue;
    by_remote[mount.remote] = &mount;
    const std::vector<ClientMetric::Label> labels = {{"dir", mount.directory}, {"remote", mount.remote}};
    families.add("artifactfs_files", "Entries of the mounted tree.", MetricType::Gauge, labels,
                 static_cast<double>(mount.files));
    families.add("artifactfs_blocked_readers", "Reads that wait for the server now.", MetricType::Gauge, labels,
                 static_cast<double>(mount.blocked_readers));
    families.add("artifactfs_kernel_requests_total", "Requests of the kernel.", MetricType::Counter, labels,
                 static_cast<double>(mount.kernel_requests));
  }
  for (const auto& [phase, count] : by_phase) {
    families.add("artifactfs_mounts", "Workspaces by phase.", MetricType::Gauge, {{"phase", phase}}, count);
  }
  for (const auto& [remote, mount] : by_remote) {
    const std::vector<ClientMetric::Label> labels = {{"remote", remote}};
    families.add("artifactfs_server_requests_total", "Requests to the git server.", MetricType::Counter, labels,
                 static_cast<double>(mount->requests));
    families.add("artifactfs_received_bytes_total", "Bytes received from the git server.", MetricType::Counter, labels,
                 static_cast<double>(mount->bytes_received));
    families.add("artifactfs_pending_fetches", "Objects queued or being fetched.", MetricType::Gauge, labels,
                 static_cast<double>(mount->pending_fetches));
    families.add("artifactfs_cached_blobs", "Blobs in the cache.", MetricType::Gauge, labels,
                 static_cast<double>(mount->cache.blobs));
    families.add("artifactfs_cached_bytes", "Size of the cached blobs, uncompressed.", MetricType::Gauge, labels,
                 static_cast<double>(mount->cache.content_bytes));
    families.add("artifactfs_cache_disk_bytes", "Disk space of the cached blobs.", MetricType::Gauge, labels,
                 static_cast<double>(mount->cache.disk_bytes));
  }
  return families.text();
}

}  // namespace artifactfs
