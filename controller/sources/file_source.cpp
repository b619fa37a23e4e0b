#include "controller/sources/file_source.hpp"

#include <sys/inotify.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "common/ops/log.hpp"
#include "controller/sources/read_file.hpp"
#include "controller/sources/watched_folders.hpp"

namespace lb::sources {
namespace {

constexpr uint32_t kEvents =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_MOVED_FROM;

}  // namespace

FileSource::FileSource(asio::io_context& io, Options options, SourceSink& sink)
    : options_(std::move(options)),
      sink_(sink),
      inotify_(io, ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)),
      resolver_(io),
      timer_(io),
      settle_timer_(io) {}

FileSource::~FileSource() { stop(); }

void FileSource::start() {
  watch_folders();
  read();
  await_change();
  await_next_resolve();
}

void FileSource::stop() {
  if (std::exchange(stopped_, true)) return;
  boost::system::error_code ignored;
  inotify_.close(ignored);
  resolver_.cancel();
  timer_.cancel();
  settle_timer_.cancel();
}

// Folders and not files: editors and ConfigMaps replace files.
void FileSource::watch_folders() {
  WatchedFolders folders;
  for (const auto& path : options_.paths) folders.add(path);
  for (const auto& path : certificate_paths_) folders.add(path);
  for (const auto& folder : folders.all()) {
    if (::inotify_add_watch(inotify_.native_handle(), folder.c_str(), kEvents) < 0) {
      fail({"Source", folder + " cannot be watched: " + std::strerror(errno)});
    }
  }
}

void FileSource::await_change() {
  inotify_.async_wait(asio::posix::stream_descriptor::wait_read,
                      [this](const boost::system::error_code& error) {
                        if (error || stopped_) return;
                        char events[4096];
                        while (::read(inotify_.native_handle(), events, sizeof events) > 0) {
                        }
                        watch_folders();
                        if (!read()) refresh_certificates();
                        await_change();
                      });
}

void FileSource::fail(const Error& error) {
  ++errors_;
  troubled_ = true;
  sink_.freshness(prefix() + options_.paths.front(), error);
}

Status FileSource::check(const std::vector<std::string>& paths) {
  const auto layers = read_layers(paths);
  if (!layers) return layers.error();
  const auto document = parse_file_layers(*layers, from_process);
  if (!document) return document.error();
  return FileCertificates().load(document->certificates, std::time(nullptr));
}

// Until a name has answered, its backends are those that were served under it before.
void FileSource::held(const DesiredState& state) {
  std::map<std::string, std::vector<IpAddress>> before;
  for (const auto& service : state.services) {
    if (!service.key.starts_with(prefix())) continue;
    for (const auto& port : service.ports) {
      for (const auto& backend : port.backends) {
        const bool joined = std::any_of(
            document_.joined.begin(), document_.joined.end(), [&](const NamedGroup& each) {
              return each.key == service.key && each.join.group == backend.group;
            });
        if (!backend.name.empty() && !joined) before[backend.name].push_back(backend.address);
      }
    }
  }
  bool news = false;
  for (const auto& named : document_.named) {
    const auto known = before.find(named.host);
    if (known == before.end() || addresses_.contains(named.host)) continue;
    addresses_[named.host] = known->second;
    news = true;
  }
  if (news) emit();
}

// Whether it is another one than before, and good.
bool FileSource::read() {
  auto layers = read_layers(options_.paths);
  if (!layers) return fail(layers.error()), false;
  if (loaded_ && !troubled_ && *layers == layers_) return false;
  auto document = parse_file_layers(*layers, from_process);
  if (!document) return fail(document.error()), false;
  if (!load(*document)) return false;
  if (loaded_) {
    ops::log(ops::Level::kInfo, "the file has changed",
             {{"file", options_.paths.front()}, {"services", document->services.size()}});
  }
  layers_ = std::move(layers).value();
  document_ = std::move(document).value();
  unresolved_.clear();
  loaded_ = true;
  if (std::exchange(troubled_, false))
    sink_.freshness(prefix() + options_.paths.front(), std::nullopt);
  emit();
  resolve_all();
  return true;
}

// Watched before they are read, so that no change is missed in between; also where they are bad,
// for they may become good.
bool FileSource::load(const FileDocument& document) {
  std::set<std::string> paths;
  for (const auto& [name, files] : document.certificates) {
    paths.insert(files.certificate);
    if (!files.key.empty()) paths.insert(files.key);
  }
  certificate_paths_.insert(paths.begin(), paths.end());
  if (!paths.empty()) watch_folders();
  const Status good = certificates_.load(document.certificates, std::time(nullptr));
  if (!good) return fail(good.error()), false;
  certificate_paths_ = std::move(paths);
  judge_certificates();
  return true;
}

void FileSource::refresh_certificates() {
  if (!certificates_.refresh(std::time(nullptr))) return;
  const auto& now = certificates_.troubles();
  std::erase_if(troubles_, [&](const auto& each) { return !now.contains(each.first); });
  tell_certificates();
  if (now != troubles_) settle();
}

void FileSource::settle() {
  if (settle_timer_.expiry() > asio::steady_timer::clock_type::now()) return;
  settle_timer_.expires_after(options_.settle);
  settle_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || stopped_) return;
    certificates_.refresh(std::time(nullptr));
    judge_certificates();
  });
}

void FileSource::judge_certificates() {
  const auto before = std::exchange(troubles_, certificates_.troubles());
  for (const auto& [name, why] : troubles_) {
    const auto said = before.find(name);
    if (said != before.end() && said->second == why) continue;
    ++certificate_errors_;
    ops::log(ops::Level::kWarning,
             "a certificate cannot be used, the last good one stays: " + why.message,
             {{"certificate", name}, {"reason", why.code}});
  }
  tell_certificates();
}

void FileSource::tell_certificates() {
  sink_.certificates(prefix(), {certificates_.all(), troubles_});
}

void FileSource::await_next_resolve() {
  timer_.expires_after(options_.resolve_interval);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || stopped_) return;
    resolve_all();
    await_next_resolve();
  });
}

void FileSource::resolve_all() {
  for (const auto& named : document_.named) {
    if (!asking_.insert(named.host).second) continue;
    resolver_.async_resolve(
        named.host, "",
        [this, host = named.host](const boost::system::error_code& error, auto results) {
          if (stopped_) return;
          asking_.erase(host);
          if (error) return not_resolved(host, error.message());
          std::vector<IpAddress> addresses;
          for (const auto& each : results) {
            const auto text = each.endpoint().address().to_string();
            if (const auto address = IpAddress::parse(text)) addresses.push_back(*address);
          }
          resolved(host, std::move(addresses));
        });
  }
}

// Said once, until it resolves again: a name that stays wrong is asked for every few seconds.
void FileSource::not_resolved(const std::string& host, const std::string& why) {
  ++resolve_failures_;
  if (!unresolved_.insert(host).second) return;
  ops::log(ops::Level::kWarning, "a backend's name cannot be resolved: " + why,
           {{"name", host}, {"reason", "NameNotResolved"}});
}

void FileSource::resolved(const std::string& host, std::vector<IpAddress> addresses) {
  if (unresolved_.erase(host) > 0) {
    ops::log(ops::Level::kInfo, "a backend's name resolves again", {{"name", host}});
  }
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  if (addresses_[host] == addresses) return;
  addresses_[host] = std::move(addresses);
  emit();
}

void FileSource::emit() {
  std::vector<Service> services = document_.services;
  add_resolved(services, document_.named, addresses_);
  std::set<std::string> keys;
  for (auto& service : services) {
    keys.insert(service.key);
    plan::SourceService out;
    out.key = service.key;
    out.addresses = std::move(service.addresses);
    out.ports = std::move(service.ports);
    out.policy = std::move(service.policy);
    for (const auto& each : document_.joined) {
      if (each.key == out.key) out.joins.push_back(each.join);
    }
    sink_.upsert(std::move(out));
  }
  sink_.synced(prefix(), keys);
}

}  // namespace lb::sources
