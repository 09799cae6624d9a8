#pragma once
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/bytes.hpp"
#include "base/time.hpp"

namespace isthmus::link {

struct SharedLink;

/// What one thread tells another of a link.
struct Parcel {
  enum class Kind : std::uint8_t {
    // from the shard's thread
    opened,
    closed,  ///< value: CloseCode; bytes: reason
    // from the owner's
    close,  ///< as closed
    peer_media_id,
    released,
    // from both
    reliable,  ///< value: channel
    media,
  };
  Kind kind;
  std::uint32_t value = 0;
  std::shared_ptr<SharedLink> link;
};

/// Brings parcels from one thread to another, in order. What is put in one turn of the sender's
/// io_context goes over together: one lock and at most one wake-up for all of it, and no allocation
/// once the batches have grown to their size. The receiver reads a few at a time
/// (limits::kHandoverEntriesPerTurn) and lets others have their turn.
///
/// Media is dropped, and counted, beyond limits::kHandoverMediaBytes and when it waited for longer
/// than limits::kMediaDeadline.
class Mailbox : public std::enable_shared_from_this<Mailbox> {
 public:
  /// Called on the receiver's thread; the bytes are valid during the call.
  using Read = std::function<void(const Parcel& parcel, ByteView bytes)>;

  Mailbox(boost::asio::io_context& from, boost::asio::io_context& to, Read read);

  /// What so many bytes count for against the bounds: they and what keeps them.
  static constexpr std::size_t cost_of(ByteView bytes) { return bytes.size() + sizeof(Entry); }

  /// From the sender's thread. Copies the bytes. @return false: not taken, because too much waits
  /// of its kind (reliable, media); others are always taken
  bool put(Parcel parcel, ByteView bytes);
  std::uint64_t media_dropped() const { return media_dropped_.load(std::memory_order_relaxed); }
  /// From now on nothing is brought, and neither io_context is touched. While one of the two
  /// threads is at rest, from the other.
  void shut();

 private:
  struct Entry {
    Parcel parcel;
    Instant put_at;
    std::size_t length;
  };
  struct Batch {
    std::vector<Entry> entries;
    Bytes bytes;

    void add(Batch& more);
    void clear();
  };

  bool has_room(Parcel::Kind kind, std::size_t cost);
  void hand_over();
  void read_some();

  boost::asio::io_context &from_, &to_;
  Read read_;
  bool shut_ = false;
  std::atomic<std::size_t> reliable_waiting_{0}, media_waiting_{0};  ///< costs, not read yet
  std::atomic<std::uint64_t> media_dropped_{0};

  Batch gathered_;  ///< the sender's
  Instant gathered_at_{};
  bool hand_over_posted_ = false;

  std::mutex mutex_;  ///< over the next two, held for a swap or a copy
  Batch on_its_way_;
  bool reading_posted_ = false;

  Batch read_now_;  ///< the receiver's
  std::size_t next_entry_ = 0, next_byte_ = 0;
};

}  // namespace isthmus::link
