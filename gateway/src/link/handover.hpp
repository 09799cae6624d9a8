#pragma once
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_set>
#include <vector>

#include "link/mailbox.hpp"
#include "wire/link.hpp"

namespace isthmus::link {

struct HandoverCounters {
  std::uint64_t media_dropped = 0;  ///< too much of it, or it for too long, waited for a thread
  std::uint64_t links_cut = 0;      ///< too much SIP waited
  /// What links counted after their owners had let go of them.
  wire::LinkCounters unclaimed;

  HandoverCounters& operator+=(const HandoverCounters& of);
};

/// Hands links that live on one thread (a shard's) to their owner on another, who sees a wire::Link
/// with that class' rules on its own thread. What waits between the two has bounds, because neither
/// QUIC's flow control nor TCP's reaches across: media is dropped (Mailbox), and a client of whom
/// more than limits::kHandoverReliableBytes wait is cut with too_slow, which leaves its session.
/// Until its owner first sends on it, as a Welcome is, a link may have no more than
/// limits::kUnauthenticatedBytes waiting, and no media. Such a link's remote() and counters() are
/// at most a second old, and final once it is closed.
class Handover : public std::enable_shared_from_this<Handover> {
 public:
  /// Called on the owner's thread.
  using OnLink = std::function<void(std::unique_ptr<wire::Link> link)>;

  static std::shared_ptr<Handover> make(boost::asio::io_context& shard,
                                        boost::asio::io_context& owner, OnLink on_link);

  /// On the shard's thread: hands this link over, and starts it.
  void admit(std::unique_ptr<wire::Link> link);
  /// On the shard's thread, before its io_context goes: cuts what is left.
  void cut_all();
  /// On the owner's thread, once the shard's is at rest: links that the owner still has are dead.
  void shut();

  HandoverCounters counters() const;  ///< from any thread

 private:
  class ShardEnd;
  class OwnerEnd;
  friend struct SharedLink;

  Handover(boost::asio::io_context& shard, OnLink on_link);
  void on_shard(const Parcel& parcel, ByteView bytes);
  void on_owner(const Parcel& parcel, ByteView bytes);
  void touch(const std::shared_ptr<SharedLink>& link);
  void publish_touched();
  void release(const std::shared_ptr<SharedLink>& link);

  OnLink on_link_;
  std::shared_ptr<Mailbox> to_owner_, to_shard_;
  std::atomic<std::uint64_t> links_cut_{0};
  mutable std::mutex mutex_;  ///< over unclaimed_
  wire::LinkCounters unclaimed_;

  // The shard's thread
  std::unordered_set<std::shared_ptr<SharedLink>> links_;
  std::vector<std::shared_ptr<SharedLink>> touched_;     ///< not published since
  std::optional<boost::asio::steady_timer> publishing_;  ///< none once cut_all() was called
};

}  // namespace isthmus::link
