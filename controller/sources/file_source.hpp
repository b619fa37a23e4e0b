// Services of a file, or of several laid over one another (file_document.hpp): read at start and
// whenever one of them changes, names resolved and asked for again.
//
// Lives on the io_context's thread. A change on disk (written in place, renamed over, or a
// ConfigMap's swapped symlink) applies at once; a bad edit keeps the last good set and says so.
// Certificates that it names are followed likewise: one that changes is told by itself, one that
// goes bad leaves the last good one in use. Backends by name become all their A and AAAA addresses,
// asked for again every few seconds; the last answer is kept when a name server fails.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/net/asio.hpp"
#include "controller/sources/file_certificates.hpp"
#include "controller/sources/file_document.hpp"
#include "controller/sources/source.hpp"

namespace lb::sources {

class FileSource : public Source {
 public:
  struct Options {
    std::vector<std::string> paths;  // the first is the lowest
    std::chrono::milliseconds resolve_interval{5'000};
    // A certificate and its key are seldom replaced at once: what does not fit is told only then.
    std::chrono::milliseconds settle{50};
  };

  FileSource(asio::io_context& io, Options options, SourceSink& sink);
  ~FileSource() override;

  std::string prefix() const override { return "file/"; }
  void start() override;
  void stop() override;
  void held(const DesiredState& state) override;

  // What is wrong with the files now, before anything is followed; for a check at start.
  static Status check(const std::vector<std::string>& paths);

  uint64_t errors() const { return errors_; }
  uint64_t resolve_failures() const { return resolve_failures_; }
  size_t unresolved() const { return unresolved_.size(); }
  const FileCertificates& certificates() const { return certificates_; }
  uint64_t certificate_errors() const { return certificate_errors_; }

 private:
  void watch_folders();
  void await_change();
  bool read();
  bool load(const FileDocument& document);
  void refresh_certificates();
  void settle();
  void judge_certificates();
  void tell_certificates();
  void fail(const Error& error);
  void resolve_all();
  void not_resolved(const std::string& host, const std::string& why);
  void resolved(const std::string& host, std::vector<IpAddress> addresses);
  void await_next_resolve();
  void emit();

  const Options options_;
  SourceSink& sink_;
  asio::posix::stream_descriptor inotify_;
  asio::ip::tcp::resolver resolver_;
  asio::steady_timer timer_;
  asio::steady_timer settle_timer_;
  std::vector<FileLayer> layers_;
  FileDocument document_;
  FileCertificates certificates_;
  plan::CertificateTroubles troubles_;       // those that were told
  std::set<std::string> certificate_paths_;  // also of a file that is refused: it may become good
  std::map<std::string, std::vector<IpAddress>> addresses_;  // by name
  std::set<std::string> asking_;
  std::set<std::string> unresolved_;  // names whose last question failed
  bool loaded_ = false;
  bool stopped_ = false;
  bool troubled_ = false;
  uint64_t errors_ = 0;
  uint64_t certificate_errors_ = 0;
  uint64_t resolve_failures_ = 0;
};

}  // namespace lb::sources
