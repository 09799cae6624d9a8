#include "link/link_shard.hpp"

#include <pthread.h>

#include <csignal>
#include <string>
#include <utility>

namespace isthmus::link {

namespace asio = boost::asio;

LinkShard::LinkShard(asio::io_context& owner, unsigned number, bool threaded, OnLink on_link)
    : number_(number),
      own_io_(threaded ? std::make_unique<asio::io_context>(1) : nullptr),
      io_(threaded ? *own_io_ : owner),
      on_link_(std::move(on_link)) {
  if (threaded) handover_ = Handover::make(io_, owner, std::exchange(on_link_, nullptr));
}

LinkShard::~LinkShard() {
  ask([this] {
    if (handover_) handover_->cut_all();
    udp_.reset();
    listener_.reset();
  });
  if (thread_.joinable()) {
    own_io_->stop();
    thread_.join();
  }
  if (handover_) handover_->shut();
}

LinkShard::OnLink LinkShard::taker() {
  if (!handover_) return on_link_;
  return [handover = handover_](std::unique_ptr<wire::Link> link) {
    handover->admit(std::move(link));
  };
}

std::optional<ListenerError> LinkShard::open(ListenerOptions options) {
  auto opened = Listener::open(io_, std::move(options), taker());
  if (!opened) return opened.error();
  listener_ = std::move(*opened);
  return std::nullopt;
}

std::optional<UdpListenerError> LinkShard::open_udp(UdpListenerOptions options) {
  options.server.shard = static_cast<std::uint8_t>(number_);
  auto opened = UdpListener::open(io_, options, listener_->loaded(), taker());
  if (!opened) return opened.error();
  udp_ = std::move(*opened);
  return std::nullopt;
}

LinkShardCounters LinkShard::count() const {
  LinkShardCounters counters;
  counters.websocket = listener_->counters();
  if (udp_) counters.udp = udp_->counters();
  return counters;
}

void LinkShard::ask_counters() const {
  if (!thread_.joinable()) return;
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = ++asked_;
  }
  asio::post(*own_io_, [this, number] {
    const LinkShardCounters now = count();
    {
      const std::lock_guard lock(mutex_);
      counters_ = now;
      answered_ = number;
    }
    counted_.notify_one();
  });
}

LinkShardCounters LinkShard::counters(Instant deadline) const {
  if (!thread_.joinable()) return count();
  std::unique_lock lock(mutex_);
  counted_.wait_until(lock, deadline, [this] { return answered_ == asked_; });
  return counters_;
}

void LinkShard::run() {
  if (!own_io_) return;
  // Signals are for the owner's thread, whose io_context waits for them.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] {
    const auto work = asio::make_work_guard(*own_io_);
    own_io_->run();
  });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_setname_np(thread_.native_handle(), ("links-" + std::to_string(number_)).c_str());
}

}  // namespace isthmus::link
