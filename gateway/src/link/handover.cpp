#include "link/handover.hpp"

#include <utility>

#include "base/limits.hpp"

namespace isthmus::link {

namespace asio = boost::asio;
using wire::Channel;
using wire::CloseCode;
using wire::LinkCounters;

namespace {

constexpr Duration kPublishEvery = seconds(1);

}  // namespace

/// One link, as its shard and its owner share it.
struct SharedLink {
  // The shard's thread
  std::unique_ptr<Handover::ShardEnd> shard_end;
  std::unique_ptr<wire::Link> link;
  bool touched = false;
  bool spoken_to = false;  ///< its owner has sent something on it
  // The owner's thread
  Handover::OwnerEnd* owner_end = nullptr;
  // Written before the owner hears of it
  std::uint32_t media_id = 0;
  Endpoint local;
  // Both
  std::atomic<std::size_t> reliable_waiting{0};  ///< cost of what is on its way to the owner
  std::mutex mutex;                              ///< over what follows
  Endpoint remote;
  LinkCounters counters, claimed;  ///< claimed: what the owner saw last

  void publish() {
    const LinkCounters now = link->counters();
    const std::lock_guard lock(mutex);
    remote = link->remote();
    counters = now;
  }
};

/// Hears the link, on the shard's thread.
class Handover::ShardEnd final : public wire::LinkHandler {
 public:
  ShardEnd(Handover& handover, std::weak_ptr<SharedLink> link)
      : handover_(handover), link_(std::move(link)) {}

  void on_reliable(Channel channel, ByteView bytes) override {
    const auto link = link_.lock();
    if (!link) return;
    const std::size_t cost = Mailbox::cost_of(bytes);
    const std::size_t waiting = link->reliable_waiting.fetch_add(cost) + cost;
    if (!link->spoken_to && waiting > limits::kUnauthenticatedBytes) {
      return cut(*link, CloseCode::limit_exceeded, "too much before the Welcome");
    }
    if (waiting > limits::kHandoverReliableBytes ||
        !handover_.to_owner_->put({Parcel::Kind::reliable, channel, link}, bytes)) {
      return cut(*link, CloseCode::too_slow, "too much SIP waits for the gateway");
    }
    handover_.touch(link);
  }
  void on_media(Channel channel, ByteView bytes) override {
    const auto link = link_.lock();
    if (!link || !link->spoken_to) return;
    handover_.touch(link);
    handover_.to_owner_->put({Parcel::Kind::media, channel, link}, bytes);
  }
  void on_closed(CloseCode code, const std::string& reason) override {
    const auto link = link_.lock();
    if (!link) return;
    link->publish();
    handover_.to_owner_->put({Parcel::Kind::closed, static_cast<std::uint32_t>(code), link},
                             as_bytes(reason));
  }

 private:
  void cut(SharedLink& link, CloseCode code, std::string_view why) {
    handover_.links_cut_.fetch_add(1, std::memory_order_relaxed);
    link.link->close(code, why);
  }

  Handover& handover_;  ///< which has the SharedLink that has this
  std::weak_ptr<SharedLink> link_;
};

/// The link as its owner has it, on the owner's thread.
class Handover::OwnerEnd final : public wire::Link {
 public:
  OwnerEnd(std::shared_ptr<Handover> handover, std::shared_ptr<SharedLink> link)
      : handover_(std::move(handover)), link_(std::move(link)) {
    link_->owner_end = this;
  }
  ~OwnerEnd() override {
    link_->owner_end = nullptr;
    put(Parcel::Kind::released, 0, {});
  }

  void start(wire::LinkHandler& handler) override { handler_ = &handler; }
  void send_reliable(Channel channel, ByteView bytes) override {
    if (closing_ || put(Parcel::Kind::reliable, channel, bytes)) return;
    handover_->links_cut_.fetch_add(1, std::memory_order_relaxed);
    constexpr std::string_view kWhy = "too much SIP waits for the link's thread";
    put(Parcel::Kind::close, static_cast<std::uint32_t>(CloseCode::too_slow), as_bytes(kWhy));
    closing_ = true;
  }
  void send_media(Channel channel, ByteView bytes) override {
    put(Parcel::Kind::media, channel, bytes);
  }
  void close(CloseCode code, std::string_view reason) override {
    closing_ = true;
    put(Parcel::Kind::close, static_cast<std::uint32_t>(code), as_bytes(reason));
  }
  Endpoint local() const override { return link_->local; }
  Endpoint remote() const override {
    const std::lock_guard lock(link_->mutex);
    return link_->remote;
  }
  LinkCounters counters() const override {
    const std::lock_guard lock(link_->mutex);
    return link_->claimed = link_->counters;
  }
  std::uint32_t media_id() const override { return link_->media_id; }
  void set_peer_media_id(std::uint32_t id) override { put(Parcel::Kind::peer_media_id, id, {}); }

  /// Something of the link's own came: as it, this delivers no frames once it is closing.
  void on_frame(const Parcel& parcel, ByteView bytes) {
    if (handler_ == nullptr || closing_) return;
    if (parcel.kind == Parcel::Kind::reliable) {
      handler_->on_reliable(parcel.value, bytes);
    } else {
      handler_->on_media(parcel.value, bytes);
    }
  }
  void on_closed(CloseCode code, const std::string& reason) {
    if (wire::LinkHandler* handler = std::exchange(handler_, nullptr)) {
      handler->on_closed(code, reason);
    }
  }

 private:
  bool put(Parcel::Kind kind, std::uint32_t value, ByteView bytes) {
    return handover_->to_shard_->put({kind, value, link_}, bytes);
  }

  std::shared_ptr<Handover> handover_;
  std::shared_ptr<SharedLink> link_;
  wire::LinkHandler* handler_ = nullptr;
  bool closing_ = false;
};

HandoverCounters& HandoverCounters::operator+=(const HandoverCounters& of) {
  media_dropped += of.media_dropped;
  links_cut += of.links_cut;
  unclaimed += of.unclaimed;
  return *this;
}

Handover::Handover(asio::io_context& shard, OnLink on_link)
    : on_link_(std::move(on_link)), publishing_(shard) {}

std::shared_ptr<Handover> Handover::make(asio::io_context& shard, asio::io_context& owner,
                                         OnLink on_link) {
  std::shared_ptr<Handover> made(new Handover(shard, std::move(on_link)));
  // Whoever reads may be the last to have the mailbox; the handover outlives what is posted.
  const std::weak_ptr<Handover> weak = made;
  made->to_owner_ =
      std::make_shared<Mailbox>(shard, owner, [weak](const Parcel& parcel, ByteView bytes) {
        if (const auto self = weak.lock()) self->on_owner(parcel, bytes);
      });
  made->to_shard_ =
      std::make_shared<Mailbox>(owner, shard, [weak](const Parcel& parcel, ByteView bytes) {
        if (const auto self = weak.lock()) self->on_shard(parcel, bytes);
      });
  return made;
}

void Handover::admit(std::unique_ptr<wire::Link> link) {
  auto shared = std::make_shared<SharedLink>();
  shared->link = std::move(link);
  shared->media_id = shared->link->media_id();
  shared->local = shared->link->local();
  shared->publish();
  shared->shard_end = std::make_unique<ShardEnd>(*this, shared);
  links_.insert(shared);
  to_owner_->put({Parcel::Kind::opened, 0, shared}, {});
  shared->link->start(*shared->shard_end);
}

void Handover::on_owner(const Parcel& parcel, ByteView bytes) {
  const std::shared_ptr<SharedLink>& link = parcel.link;
  if (parcel.kind == Parcel::Kind::opened) {
    auto end = std::make_unique<OwnerEnd>(shared_from_this(), link);
    if (on_link_) on_link_(std::move(end));
    return;
  }
  if (parcel.kind == Parcel::Kind::reliable) {
    link->reliable_waiting.fetch_sub(Mailbox::cost_of(bytes));
  }
  if (link->owner_end == nullptr) return;
  if (parcel.kind == Parcel::Kind::closed) {
    link->owner_end->on_closed(static_cast<CloseCode>(parcel.value), std::string(as_text(bytes)));
  } else {
    link->owner_end->on_frame(parcel, bytes);
  }
}

void Handover::on_shard(const Parcel& parcel, ByteView bytes) {
  const std::shared_ptr<SharedLink>& link = parcel.link;
  if (!link->link) return;
  touch(link);
  switch (parcel.kind) {
    case Parcel::Kind::reliable:
      link->spoken_to = true;
      return link->link->send_reliable(parcel.value, bytes);
    case Parcel::Kind::media:
      return link->link->send_media(parcel.value, bytes);
    case Parcel::Kind::close:
      return link->link->close(static_cast<CloseCode>(parcel.value), as_text(bytes));
    case Parcel::Kind::peer_media_id:
      return link->link->set_peer_media_id(parcel.value);
    case Parcel::Kind::released:
      return release(link);
    case Parcel::Kind::opened:
    case Parcel::Kind::closed:
      return;  // never to the shard
  }
}

/// Something happened to the link, on the shard's thread: its owner shall know within a second.
void Handover::touch(const std::shared_ptr<SharedLink>& link) {
  if (std::exchange(link->touched, true)) return;
  touched_.push_back(link);
  if (touched_.size() > 1 || !publishing_) return;
  publishing_->expires_after(kPublishEvery);
  publishing_->async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (self && !error) self->publish_touched();
  });
}

void Handover::publish_touched() {
  for (const std::shared_ptr<SharedLink>& link : std::exchange(touched_, {})) {
    link->touched = false;
    if (link->link) link->publish();
  }
}

/// The owner has let go of it. What is closing goes on alone.
void Handover::release(const std::shared_ptr<SharedLink>& link) {
  LinkCounters left = link->link->counters();
  {
    const std::lock_guard lock(link->mutex);
    left -= link->claimed;
  }
  {
    const std::lock_guard lock(mutex_);
    unclaimed_ += left;
  }
  link->link = nullptr;
  links_.erase(link);
}

void Handover::cut_all() {
  publishing_.reset();
  touched_.clear();
  for (const std::shared_ptr<SharedLink>& link : std::exchange(links_, {})) link->link = nullptr;
}

void Handover::shut() {
  on_link_ = nullptr;
  to_owner_->shut();
  to_shard_->shut();
}

HandoverCounters Handover::counters() const {
  HandoverCounters counters;
  counters.media_dropped = to_owner_->media_dropped() + to_shard_->media_dropped();
  counters.links_cut = links_cut_.load(std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  counters.unclaimed = unclaimed_;
  return counters;
}

}  // namespace isthmus::link
