// A list of immutable elements that lists share, in chunks that they share too: a copy costs a
// pointer for each 64 elements, a change to a copy one chunk, and two copies tell at once where
// they still are the same.
//
// What is in it changes only through edit(), replace() and the like, which give this list an
// element (and a chunk) of its own and leave other lists as they are. A list itself is used by one
// thread at a time; its copies may be read by others. Indices as in std::vector; nothing is checked
// but at().
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace lb {

template <class T>
class SharedList {
 public:
  using Element = std::shared_ptr<const T>;
  static constexpr size_t kChunk = 64;

  class const_iterator {
   public:
    using iterator_category = std::random_access_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T*;
    using reference = const T&;

    const_iterator() = default;
    const_iterator(const SharedList* list, size_t at) : list_(list), at_(at) {}
    reference operator*() const { return *element(); }
    pointer operator->() const { return element().get(); }
    const Element& element() const { return list_->element(at_); }
    const_iterator& operator++() { return ++at_, *this; }
    const_iterator operator++(int) { return const_iterator(list_, at_++); }
    const_iterator& operator--() { return --at_, *this; }
    const_iterator& operator+=(difference_type by) {
      at_ += static_cast<size_t>(by);
      return *this;
    }
    const_iterator operator+(difference_type by) const { return const_iterator(*this) += by; }
    difference_type operator-(const_iterator other) const {
      return static_cast<difference_type>(at_ - other.at_);
    }
    bool operator==(const const_iterator& other) const { return at_ == other.at_; }
    auto operator<=>(const const_iterator& other) const { return at_ <=> other.at_; }

   private:
    const SharedList* list_ = nullptr;
    size_t at_ = 0;
  };
  using iterator = const_iterator;
  using value_type = T;
  using size_type = size_t;
  using const_reference = const T&;

  SharedList() = default;
  SharedList(std::initializer_list<T> values) : SharedList(std::vector<T>(values)) {}
  SharedList(std::vector<T> values) {  // NOLINT: a plain list is as good
    reserve(values.size());
    for (auto& value : values) push_back(std::move(value));
  }

  const_iterator begin() const { return const_iterator(this, 0); }
  const_iterator end() const { return const_iterator(this, size()); }
  size_t size() const {
    return chunks_.empty() ? 0 : (chunks_.size() - 1) * kChunk + chunks_.back()->size();
  }
  bool empty() const { return chunks_.empty(); }
  const Element& element(size_t i) const { return (*chunks_[i / kChunk])[i % kChunk]; }
  const T& operator[](size_t i) const { return *element(i); }
  const T& at(size_t i) const {
    if (i >= size()) throw std::out_of_range("SharedList::at");
    return *element(i);
  }
  const T& front() const { return *element(0); }
  const T& back() const { return *chunks_.back()->back(); }

  void reserve(size_t size) { chunks_.reserve((size + kChunk - 1) / kChunk); }
  void clear() { chunks_.clear(); }
  void pop_back() {
    Chunk& last = own(size() - 1);
    last.pop_back();
    if (last.empty()) chunks_.pop_back();
  }
  void push_back(T value) { share_back(std::make_shared<T>(std::move(value))); }
  void share_back(Element element) {
    if (size() % kChunk == 0) {
      chunks_.push_back(std::make_shared<Chunk>());
      if (chunks_.size() > 1) chunks_.back()->reserve(kChunk);
    }
    own((chunks_.size() - 1) * kChunk).push_back(std::move(element));
  }
  void replace(size_t i, Element element) { own(i)[i % kChunk] = std::move(element); }

  // For writing: copied first where another list has it too.
  T& edit(size_t i) {
    Element& element = own(i)[i % kChunk];
    if (element.use_count() != 1) element = std::make_shared<T>(*element);
    // Each element was made as a T, not as a const one.
    return const_cast<T&>(*element);
  }

  // How many elements from `i` on are the very ones that `other` has from `j` on, as far as one
  // look tells; 0: these two are not. Both indices have to be below the sizes.
  size_t shared_run(size_t i, const SharedList& other, size_t j) const {
    const auto& chunk = chunks_[i / kChunk];
    if (i % kChunk == j % kChunk && chunk == other.chunks_[j / kChunk]) {
      return chunk->size() - i % kChunk;
    }
    return element(i) == other.element(j) ? 1 : 0;
  }

  template <class Less>
  void sort(Less less) {
    if (std::is_sorted(begin(), end(), less)) return;
    std::vector<Element> all;
    for (size_t i = 0; i < size(); ++i) all.push_back(element(i));
    std::stable_sort(all.begin(), all.end(),
                     [&](const Element& a, const Element& b) { return less(*a, *b); });
    clear();
    for (auto& each : all) share_back(std::move(each));
  }

  bool operator==(const SharedList& other) const {
    if (size() != other.size()) return false;
    for (size_t i = 0; i < size();) {
      const size_t run = shared_run(i, other, i);
      if (run == 0 && !(*element(i) == *other.element(i))) return false;
      i += std::max<size_t>(run, 1);
    }
    return true;
  }

 private:
  using Chunk = std::vector<Element>;  // kChunk elements each, but for the last

  // The chunk of element `i`, which no other list has: copied first where one does.
  Chunk& own(size_t i) {
    auto& chunk = chunks_[i / kChunk];
    if (chunk.use_count() != 1) chunk = std::make_shared<Chunk>(*chunk);
    return *chunk;
  }

  std::vector<std::shared_ptr<Chunk>> chunks_;  // none of them empty
};

}  // namespace lb
