// Who is next where few may hold something (a descriptor, say) and many parties want it: fair to
// parties, however much one of them asks for.
//
// An item joins the line of its party, holds when its turn has come, and leaves. next() is of the
// party that holds least, of several the one that was served longest ago; within a party first
// come, first served. The count of places is the caller's. to_cut() tells whose place would be
// fairer with the next in line, for holders that may stay for long. Items are copied: pointers,
// say. One thread at a time; only join() may throw (std::bad_alloc), and then nothing has changed.
// A Turn must be given to leave() once, before this is destroyed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <list>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace lb::net {

template <class Item>
class FairTurns {
  struct Party;
  struct Entry;
  using Parties = std::map<std::string, Party, std::less<>>;
  using Entries = std::list<Entry>;

 public:
  // Where an item stands. Empty: nowhere.
  class Turn {
   public:
    explicit operator bool() const { return entry_ != nullptr; }
    bool holds() const { return entry_ != nullptr && entry_->holds; }

   private:
    friend FairTurns;
    Entry* entry_ = nullptr;
  };

  Turn join(const std::string& party, Item item);
  // Its turn has come, whoever else is in line.
  void hold(const Turn& turn);
  void leave(Turn& turn);

  // Null: nobody is in line.
  const Item* next() const;
  // The latest that holds, of the party that holds most; null unless that party would still hold as
  // much as that of next() when the two had changed places.
  const Item* to_cut() const;
  // How many of the party hold or are in line.
  size_t load(std::string_view party) const;

 private:
  struct Entry {
    Item item;
    typename Parties::iterator party;
    typename Entries::iterator self;
    bool holds = false;
  };
  struct Party {
    Entries holding, waiting;  // oldest first
    uint64_t served = 0;       // serial of the latest turn
  };
  // By what it holds, then by when it was served.
  using Rank = std::tuple<size_t, uint64_t, std::string_view>;
  using Ranks = std::set<Rank>;

  static Rank rank_of(typename Parties::const_iterator party) {
    return {party->second.holding.size(), party->second.served, party->first};
  }
  // Makes a change to a party without memory: its ranks are moved, not made anew.
  template <class Change>
  void ranked_anew(typename Parties::iterator party, Change change);
  void put_back(Ranks& ranks, typename Ranks::node_type node,
                typename Parties::const_iterator party);

  Parties parties_;
  Ranks all_, in_line_;
  uint64_t serial_ = 0;
};

template <class Item>
typename FairTurns<Item>::Turn FairTurns<Item>::join(const std::string& name, Item item) {
  Entries made;
  made.push_back({std::move(item), parties_.end(), {}, false});
  const auto [party, is_new] = parties_.try_emplace(name);
  try {
    if (is_new) all_.insert(rank_of(party));
    if (party->second.waiting.empty()) in_line_.insert(rank_of(party));
  } catch (...) {
    all_.erase(rank_of(party));
    if (is_new) parties_.erase(party);
    throw;
  }
  made.front().party = party;
  made.front().self = made.begin();
  party->second.waiting.splice(party->second.waiting.end(), made);
  Turn out;
  out.entry_ = &party->second.waiting.back();
  return out;
}

template <class Item>
template <class Change>
void FairTurns<Item>::ranked_anew(typename Parties::iterator party, Change change) {
  const Rank before = rank_of(party);
  auto in_all = all_.extract(before);
  auto in_line = in_line_.extract(before);
  change(party->second);
  if (party->second.holding.empty() && party->second.waiting.empty()) {
    parties_.erase(party);
    return;
  }
  put_back(all_, std::move(in_all), party);
  if (!party->second.waiting.empty()) put_back(in_line_, std::move(in_line), party);
}

template <class Item>
void FairTurns<Item>::put_back(Ranks& ranks, typename Ranks::node_type node,
                               typename Parties::const_iterator party) {
  node.value() = rank_of(party);
  ranks.insert(std::move(node));
}

template <class Item>
void FairTurns<Item>::hold(const Turn& turn) {
  Entry& entry = *turn.entry_;
  ranked_anew(entry.party, [&](Party& party) {
    party.holding.splice(party.holding.end(), party.waiting, entry.self);
    party.served = ++serial_;
    entry.holds = true;
  });
}

template <class Item>
void FairTurns<Item>::leave(Turn& turn) {
  Entry& entry = *std::exchange(turn.entry_, nullptr);
  ranked_anew(entry.party, [&](Party& party) {
    (entry.holds ? party.holding : party.waiting).erase(entry.self);
  });
}

template <class Item>
const Item* FairTurns<Item>::next() const {
  if (in_line_.empty()) return nullptr;
  return &parties_.find(std::get<2>(*in_line_.begin()))->second.waiting.front().item;
}

template <class Item>
const Item* FairTurns<Item>::to_cut() const {
  if (in_line_.empty()) return nullptr;
  const Rank& most = *std::prev(all_.end());
  if (std::get<0>(most) < std::get<0>(*in_line_.begin()) + 2) return nullptr;
  return &parties_.find(std::get<2>(most))->second.holding.back().item;
}

template <class Item>
size_t FairTurns<Item>::load(std::string_view name) const {
  const auto party = parties_.find(name);
  return party == parties_.end() ? 0 : party->second.holding.size() + party->second.waiting.size();
}

}  // namespace lb::net
