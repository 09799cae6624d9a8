#include "quic/link_server.hpp"

#include <utility>

namespace isthmus::quic {

namespace {

/// Answers to datagrams of no connection, in one second: enough for a restart's clients, little for
/// somebody who forges sources.
constexpr std::uint32_t kAnswersPerSecond = 1000;

}  // namespace

std::uint32_t LinkServer::Rate::count(Instant now) {
  if (now - second >= seconds(1)) {
    second = now;
    events = 0;
  }
  return ++events;
}

LinkServer::LinkServer(LinkServerOptions options, std::shared_ptr<const TlsCredentials> credentials,
                       Random& random, LinkServerOwner& owner)
    : options_(std::move(options)),
      credentials_(std::move(credentials)),
      random_(random),
      owner_(owner),
      tickets_(options.early_data ? ServerTickets::make(options_.ticket_key) : nullptr),
      out_(kLargestDatagram) {}

void LinkServer::on_datagram(const Path& path, MutableBytes datagram, Instant now,
                             DatagramSink& sink) {
  switch (kind_of(datagram)) {
    case DatagramKind::media:
      return on_media(path, datagram, now);
    case DatagramKind::quic:
      return on_quic(path, datagram, now, sink);
    case DatagramKind::other:
      ++counters_.malformed;
  }
}

void LinkServer::on_media(const Path& path, MutableBytes datagram, Instant now) {
  const auto id = media_id_of(datagram);
  const auto found = id ? by_media_.find(*id) : by_media_.end();
  if (found == by_media_.end()) {
    ++counters_.unknown_media;
    return;
  }
  const auto [core, number] = found->second;
  core->on_datagram(path, datagram, now);
  if (core->over()) owner_.on_touched(number);  // it has last words
}

void LinkServer::on_quic(const Path& path, MutableBytes datagram, Instant now, DatagramSink& sink) {
  const Header header = read_header(datagram);
  if (header.kind == HeaderKind::malformed) {
    ++counters_.malformed;
    return;
  }
  const auto found = by_id_.find(std::string(header.destination));
  if (found == by_id_.end()) return on_stranger(path, datagram, header, now, sink);
  const std::uint64_t number = found->second;
  const auto slot = slots_.find(number);
  if (slot == slots_.end() || slot->second->core == nullptr) return;
  slot->second->core->on_datagram(path, datagram, now);
  owner_.on_touched(number);
}

void LinkServer::on_stranger(const Path& path, MutableBytes datagram, const Header& header,
                             Instant now, DatagramSink& sink) {
  const auto answer = [&](std::size_t length, std::uint64_t& counter) {
    if (length == 0) return;
    ++counter;
    sink.send(path, ByteView(out_).first(length));
  };
  if (header.kind == HeaderKind::unknown_version) {
    // RFC 9000 §6.1: only what is large enough to begin a connection is answered.
    if (datagram.size() < kSmallestPath || answered_.count(now) > kAnswersPerSecond) {
      ++counters_.unknown_connections;
      return;
    }
    return answer(write_version_negotiation(header, random_, out_), counters_.version_negotiations);
  }
  if (!header.long_form) {
    if (answered_.count(now) > kAnswersPerSecond) {
      ++counters_.unknown_connections;
      return;
    }
    return answer(
        write_stateless_reset(header.destination, datagram.size(), options_.secret, random_, out_),
        counters_.stateless_resets);
  }
  auto initial = read_initial(datagram);
  if (!initial || !accepting_) {
    ++counters_.unknown_connections;
    return;
  }
  std::string original;
  if (!initial->token.empty()) {
    auto opened = open_retry_token(*initial, path.remote, options_.secret, now);
    if (!opened) return answer(write_refusal(*initial, out_), counters_.bad_tokens);
    original = std::move(*opened);
  } else if (begun_.count(now) > options_.retry_above) {
    return answer(
        write_retry(*initial, path.remote, options_.shard, options_.secret, random_, now, out_),
        counters_.retries);
  }
  if (slots_.size() >= options_.max_links) {
    return answer(write_refusal(*initial, out_), counters_.refused);
  }
  begin(path, datagram, std::move(*initial), std::move(original), now);
}

void LinkServer::begin(const Path& path, MutableBytes datagram, InitialPacket initial,
                       std::string original, Instant now) {
  const std::uint64_t number = next_number_++;
  auto slot = std::make_unique<Slot>(*this, number);
  ServerSettings settings;
  settings.credentials = credentials_;
  settings.initial = std::move(initial);
  settings.original_destination = std::move(original);
  settings.shard = options_.shard;
  settings.secret = options_.secret;
  settings.ids = slot.get();
  settings.tickets = tickets_;
  auto connection = Connection::server(std::move(settings), path, random_, now);
  if (!connection) {
    ++counters_.malformed;
    return;
  }
  ++counters_.accepted;
  slot->media_id = new_media_id();
  Slot& kept = *slot;
  slots_.emplace(number, std::move(slot));
  kept.core = owner_.on_connection(number, std::move(connection), kept.media_id);
  if (kept.core == nullptr) {
    slots_.erase(number);
    return;
  }
  by_media_.emplace(kept.media_id, MediaEnd{kept.core, number});
  kept.core->on_datagram(path, datagram, now);
  owner_.on_touched(number);
}

std::uint32_t LinkServer::new_media_id() {
  for (;;) {
    const std::uint32_t id =
        (random_.u32() & 0x00ffffffU) | static_cast<std::uint32_t>(options_.shard) << 24;
    if (id != 0 && !by_media_.contains(id)) return id;
  }
}

void LinkServer::forget(std::uint64_t number) {
  const auto found = slots_.find(number);
  if (found == slots_.end()) return;
  by_media_.erase(found->second->media_id);
  if (found->second->core != nullptr) found->second->core->forget_ids();
  slots_.erase(found);
}

}  // namespace isthmus::quic
