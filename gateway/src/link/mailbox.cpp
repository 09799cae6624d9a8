#include "link/mailbox.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <iterator>
#include <utility>

#include "base/limits.hpp"
#include "net/clock.hpp"

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

bool Mailbox::has_room(Parcel::Kind kind, std::size_t cost) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  if (kind == Parcel::Kind::media) {
    if (media_waiting_.load(kRelaxed) + cost > limits::kHandoverMediaBytes) {
      media_dropped_.fetch_add(1, kRelaxed);
      return false;
    }
    media_waiting_.fetch_add(cost, kRelaxed);
  } else if (kind == Parcel::Kind::reliable) {
    if (reliable_waiting_.load(kRelaxed) + cost > limits::kHandoverAllReliableBytes) return false;
    reliable_waiting_.fetch_add(cost, kRelaxed);
  }
  return true;
}

bool Mailbox::put(Parcel parcel, ByteView bytes) {
  if (shut_ || !has_room(parcel.kind, cost_of(bytes))) return false;
  if (!std::exchange(hand_over_posted_, true)) {
    gathered_at_ = net::clock_now();
    asio::post(from_, [self = shared_from_this()] { self->hand_over(); });
  }
  gathered_.bytes.insert(gathered_.bytes.end(), bytes.begin(), bytes.end());
  gathered_.entries.push_back({std::move(parcel), gathered_at_, bytes.size()});
  return true;
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
  if (wake) asio::post(to_, [self = shared_from_this()] { self->read_some(); });
}

/// While there is more, the next turn is posted, and reading_posted_ stays.
void Mailbox::read_some() {
  if (shut_) return;
  if (read_now_.entries.empty()) {
    const std::lock_guard lock(mutex_);
    std::swap(on_its_way_, read_now_);
  }
  const Instant now = net::clock_now();
  std::size_t reliable = 0, media = 0;
  const std::size_t end =
      std::min(read_now_.entries.size(), next_entry_ + limits::kHandoverEntriesPerTurn);
  for (; next_entry_ < end; ++next_entry_) {
    const Entry& entry = read_now_.entries[next_entry_];
    const ByteView bytes = ByteView(read_now_.bytes).subspan(next_byte_, entry.length);
    next_byte_ += entry.length;
    if (entry.parcel.kind == Parcel::Kind::reliable) reliable += cost_of(bytes);
    if (entry.parcel.kind == Parcel::Kind::media) {
      media += cost_of(bytes);
      if (now - entry.put_at > limits::kMediaDeadline) {
        media_dropped_.fetch_add(1, std::memory_order_relaxed);
        continue;
      }
    }
    read_(entry.parcel, bytes);
  }
  reliable_waiting_.fetch_sub(reliable, std::memory_order_relaxed);
  media_waiting_.fetch_sub(media, std::memory_order_relaxed);
  bool more = true;
  if (next_entry_ == read_now_.entries.size()) {
    read_now_.clear();
    next_entry_ = next_byte_ = 0;
    const std::lock_guard lock(mutex_);
    more = reading_posted_ = !on_its_way_.entries.empty();
  }
  if (more) asio::post(to_, [self = shared_from_this()] { self->read_some(); });
}

void Mailbox::shut() {
  shut_ = true;
  gathered_ = {};
  on_its_way_ = {};
  read_now_ = {};
}

}  // namespace isthmus::link
