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
/// once the batches have grown to their size.
class Mailbox : public std::enable_shared_from_this<Mailbox> {
 public:
  /// Called on the receiver's thread; the bytes are valid during the call.
  using Read = std::function<void(const Parcel& parcel, ByteView bytes)>;

  Mailbox(boost::asio::io_context& from, boost::asio::io_context& to, Read read);

  /// From the sender's thread. Copies the bytes.
  void put(Parcel parcel, ByteView bytes);
  /// Bytes that were put and not read yet. From any thread.
  std::size_t waiting() const { return waiting_bytes_.load(std::memory_order_relaxed); }
  /// From now on nothing is brought, and neither io_context is touched. While one of the two
  /// threads is at rest, from the other.
  void shut();

 private:
  struct Batch {
    struct Entry {
      Parcel parcel;
      std::size_t length;
    };
    std::vector<Entry> entries;
    Bytes bytes;

    void add(Batch& more);
    void clear();
  };

  void hand_over();
  void read_all();

  boost::asio::io_context &from_, &to_;
  Read read_;
  bool shut_ = false;
  std::atomic<std::size_t> waiting_bytes_{0};

  Batch gathered_;  ///< the sender's
  bool hand_over_posted_ = false;

  std::mutex mutex_;  ///< over the next two, held for a swap or a copy
  Batch on_its_way_;
  bool reading_posted_ = false;

  Batch read_now_;  ///< the receiver's
};

}  // namespace isthmus::link
