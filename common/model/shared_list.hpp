// A list of immutable elements that lists share: a copy costs a pointer for each element, and two
// copies tell at once which elements they still have in common.
//
// What is in it changes only through edit(), replace() and the like, which give this list an
// element of its own and leave other lists as they are. A list itself is used by one thread at a
// time; its copies may be read by others. Indices as in std::vector; nothing is checked but at().
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

namespace lb {

template <class T>
class SharedList {
 public:
  using Element = std::shared_ptr<const T>;

  class const_iterator {
   public:
    using iterator_category = std::random_access_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T*;
    using reference = const T&;

    const_iterator() = default;
    explicit const_iterator(const Element* at) : at_(at) {}
    reference operator*() const { return **at_; }
    pointer operator->() const { return at_->get(); }
    const Element& element() const { return *at_; }
    const_iterator& operator++() { return ++at_, *this; }
    const_iterator operator++(int) { return const_iterator(at_++); }
    const_iterator& operator--() { return --at_, *this; }
    const_iterator& operator+=(difference_type by) { return at_ += by, *this; }
    const_iterator operator+(difference_type by) const { return const_iterator(at_ + by); }
    difference_type operator-(const_iterator other) const { return at_ - other.at_; }
    auto operator<=>(const const_iterator&) const = default;

   private:
    const Element* at_ = nullptr;
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

  const_iterator begin() const { return const_iterator(elements_.data()); }
  const_iterator end() const { return const_iterator(elements_.data() + elements_.size()); }
  size_t size() const { return elements_.size(); }
  bool empty() const { return elements_.empty(); }
  const T& operator[](size_t i) const { return *elements_[i]; }
  const T& at(size_t i) const { return *elements_.at(i); }
  const T& front() const { return *elements_.front(); }
  const T& back() const { return *elements_.back(); }

  void reserve(size_t size) { elements_.reserve(size); }
  void clear() { elements_.clear(); }
  void pop_back() { elements_.pop_back(); }
  void push_back(T value) { elements_.push_back(std::make_shared<T>(std::move(value))); }
  void share_back(Element element) { elements_.push_back(std::move(element)); }
  void replace(size_t i, Element element) { elements_[i] = std::move(element); }

  // For writing: copied first where another list has it too.
  T& edit(size_t i) {
    Element& element = elements_[i];
    if (element.use_count() != 1) element = std::make_shared<T>(*element);
    // Each element was made as a T, not as a const one.
    return const_cast<T&>(*element);
  }

  template <class Less>
  void sort(Less less) {
    const auto by_value = [&](const Element& a, const Element& b) { return less(*a, *b); };
    if (std::is_sorted(elements_.begin(), elements_.end(), by_value)) return;
    std::stable_sort(elements_.begin(), elements_.end(), by_value);
  }

  bool operator==(const SharedList& other) const {
    return std::equal(elements_.begin(), elements_.end(), other.elements_.begin(),
                      other.elements_.end(),
                      [](const Element& a, const Element& b) { return a == b || *a == *b; });
  }

 private:
  std::vector<Element> elements_;
};

}  // namespace lb
