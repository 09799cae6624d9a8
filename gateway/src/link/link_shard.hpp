#pragma once
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>

#include "base/time.hpp"
#include "link/handover.hpp"
#include "link/listener.hpp"
#include "link/udp_listener.hpp"

namespace isthmus::link {

struct LinkShardCounters {
  ListenerCounters websocket;
  UdpListenerCounters udp;
};

/// One share of the clients: a listener for each kind of link, and the links that they accept. It
/// lives on the owner's thread, or on one of its own and hands its links over.
///
/// Constructed, opened and destroyed on the owner's thread; run() starts its own. From then on all
/// that it has is touched there alone: see ask().
class LinkShard {
 public:
  using OnLink = std::function<void(std::unique_ptr<wire::Link> link)>;

  /// @param number  in the first byte of the ids of its UDP links
  /// @param threaded  on a thread of its own
  LinkShard(boost::asio::io_context& owner, unsigned number, bool threaded, OnLink on_link);
  /// Cuts its links.
  ~LinkShard();
  LinkShard(const LinkShard&) = delete;
  LinkShard& operator=(const LinkShard&) = delete;

  std::optional<ListenerError> open(ListenerOptions options);
  /// After open(), whose certificate it uses.
  std::optional<UdpListenerError> open_udp(UdpListenerOptions options);
  void close_udp() { udp_.reset(); }  ///< before run()
  void run();

  /// What `question` answers on the shard's thread, for which this waits, as long as the thread's
  /// present turn and what was posted before: for what happens seldom.
  template <class Question>
  auto ask(Question question) const {
    if (!thread_.joinable()) return question();
    using Task = std::packaged_task<std::invoke_result_t<Question>()>;
    const auto task = std::make_shared<Task>(std::move(question));
    auto answer = task->get_future();
    boost::asio::post(*own_io_, [task] { (*task)(); });
    return answer.get();
  }

  /// Asks a thread of its own to count; counters() waits for it until `deadline`, and then takes
  /// what was counted last. A shard on the owner's thread counts at once.
  void ask_counters() const;
  LinkShardCounters counters(Instant deadline) const;

  Listener& listener() const { return *listener_; }
  UdpListener* udp() const { return udp_.get(); }               ///< null: none
  const Handover* handover() const { return handover_.get(); }  ///< null: on the owner's thread

 private:
  OnLink taker();
  LinkShardCounters count() const;

  unsigned number_;
  std::unique_ptr<boost::asio::io_context> own_io_;  ///< null: the owner's
  boost::asio::io_context& io_;
  OnLink on_link_;
  std::shared_ptr<Handover> handover_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<UdpListener> udp_;
  mutable std::mutex mutex_;  ///< over the next four
  mutable std::condition_variable counted_;
  mutable std::uint64_t asked_ = 0, answered_ = 0;
  mutable LinkShardCounters counters_;
  std::thread thread_;
};

}  // namespace isthmus::link
