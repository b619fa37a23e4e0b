// The sessions of one UDP listener that no backend has ever answered, oldest first: those that may
// be ended where there are too many. A list through the sessions themselves, so nothing here wants
// memory. Of its worker's thread.
#pragma once

namespace lb::proxy {

template <class Session>
class UdpUnanswered {
 public:
  void push(Session& session) {
    session.older = newest_;
    session.newer = nullptr;
    (newest_ != nullptr ? newest_->newer : oldest_) = &session;
    newest_ = &session;
    session.answered = false;
  }

  // Does nothing for one that is not in the list.
  void remove(Session& session) {
    if (session.answered) return;
    session.answered = true;
    (session.older != nullptr ? session.older->newer : oldest_) = session.newer;
    (session.newer != nullptr ? session.newer->older : newest_) = session.older;
    session.older = session.newer = nullptr;
  }

  // Null: there is none but `spared`.
  Session* oldest(const Session* spared = nullptr) const {
    return oldest_ != nullptr && oldest_ == spared ? oldest_->newer : oldest_;
  }

 private:
  Session* oldest_ = nullptr;
  Session* newest_ = nullptr;
};

}  // namespace lb::proxy
