#include "link/mailbox.hpp"

#include <boost/asio/post.hpp>
#include <iterator>
#include <utility>

namespace isthmus::link {

namespace asio = boost::asio;

namespace {

/// Batches that grew in a burst give their memory back.
constexpr std::size_t kKeptBytes = std::size_t{1} << 20;
constexpr std::size_t kKeptEntries = 8192;

}  // namespace

void Mailbox::Batch::add(Batch& more) {
  if (entries.empty()) return std::swap(*this, more);
  std::move(more.entries.begin(), more.entries.end(), std::back_inserter(entries));
  bytes.insert(bytes.end(), more.bytes.begin(), more.bytes.end());
}

void Mailbox::Batch::clear() {
  entries.clear();
  bytes.clear();
  if (entries.capacity() > kKeptEntries) entries = {};
  if (bytes.capacity() > kKeptBytes) bytes = {};
}

Mailbox::Mailbox(asio::io_context& from, asio::io_context& to, Read read)
    : from_(from), to_(to), read_(std::move(read)) {}

void Mailbox::put(Parcel parcel, ByteView bytes) {
  if (shut_) return;
  gathered_.bytes.insert(gathered_.bytes.end(), bytes.begin(), bytes.end());
  gathered_.entries.push_back({std::move(parcel), bytes.size()});
  waiting_bytes_.fetch_add(bytes.size(), std::memory_order_relaxed);
  if (std::exchange(hand_over_posted_, true)) return;
  asio::post(from_, [self = shared_from_this()] { self->hand_over(); });
}

void Mailbox::hand_over() {
  hand_over_posted_ = false;
  if (shut_) return;
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    on_its_way_.add(gathered_);
    wake = !std::exchange(reading_posted_, true);
  }
  gathered_.clear();
  if (wake) asio::post(to_, [self = shared_from_this()] { self->read_all(); });
}

void Mailbox::read_all() {
  if (shut_) return;
  {
    const std::lock_guard lock(mutex_);
    std::swap(on_its_way_, read_now_);
    reading_posted_ = false;
  }
  std::size_t at = 0;
  for (const Batch::Entry& entry : read_now_.entries) {
    read_(entry.parcel, ByteView(read_now_.bytes).subspan(at, entry.length));
    at += entry.length;
  }
  waiting_bytes_.fetch_sub(at, std::memory_order_relaxed);
  read_now_.clear();
}

void Mailbox::shut() {
  shut_ = true;
  gathered_ = {};
  on_its_way_ = {};
  read_now_ = {};
}

}  // namespace isthmus::link
