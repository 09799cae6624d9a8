#include <algorithm>
#include <utility>

#include "quic/ng_connection.hpp"

namespace isthmus::quic {

namespace {

/// A long connection gets new keys, and its client a new ticket, after as long: GnuTLS takes no
/// ticket that is older than six hours.
constexpr ngtcp2_duration kRefresh = 3600 * NGTCP2_SECONDS;

}  // namespace

/// ngtcp2 asserts that time does not run backwards.
ngtcp2_tstamp NgConnection::stamp(Instant now) {
  latest_ = std::max(latest_, to_ngtcp2(now));
  return latest_;
}

void NgConnection::read(const Path& path, ByteView datagram, Instant now) {
  if (over_ || last_words_) return;
  const NativePath native(path);
  ngtcp2_pkt_info info{};
  const int error = ::ngtcp2_conn_read_pkt(conn_, &native.path, &info, datagram.data(),
                                           datagram.size(), stamp(now));
  stream_blocked_ = false;
  if (error != 0) {
    fail(error);
  } else if (ending_ && !over_) {
    close(ending_->code, ending_->text);
  } else if (refreshed_ && latest_ - *refreshed_ >= kRefresh) {
    refresh(latest_);
  }
}

void NgConnection::on_timeout(Instant now) {
  if (over_ || last_words_) return;
  const ngtcp2_tstamp at = stamp(now);
  if (::ngtcp2_conn_get_expiry(conn_) > at) return;
  if (const int error = ::ngtcp2_conn_handle_expiry(conn_, at); error != 0) fail(error);
}

std::optional<Instant> NgConnection::next_deadline() const {
  if (over_ || conn_ == nullptr) return std::nullopt;
  const ngtcp2_tstamp expiry = ::ngtcp2_conn_get_expiry(conn_);
  if (expiry >= static_cast<ngtcp2_tstamp>(INT64_MAX)) return std::nullopt;
  return Instant(std::chrono::nanoseconds(static_cast<std::int64_t>(expiry)));
}

std::size_t NgConnection::write(MutableBytes out, Path& path, Instant now) {
  if (over_) return 0;
  const ngtcp2_tstamp at = stamp(now);
  ngtcp2_path_storage storage{};
  ::ngtcp2_path_storage_zero(&storage);
  std::size_t length = 0;
  if (last_words_) {
    length = write_last(out, storage, at);
  } else {
    std::array<ngtcp2_vec, kPiecesPerWrite> pieces{};
    for (;;) {
      const std::size_t count = stream_ >= 0 && !stream_blocked_ ? unsent(pieces) : 0;
      ngtcp2_ssize taken = -1;
      ngtcp2_pkt_info info{};
      const auto written = ::ngtcp2_conn_writev_stream(
          conn_, &storage.path, &info, out.data(), std::min(out.size(), kLargestDatagram), &taken,
          NGTCP2_WRITE_STREAM_FLAG_NONE, count > 0 ? stream_ : -1, pieces.data(), count, at);
      if (taken > 0) sent_to_ += static_cast<std::uint64_t>(taken);
      if (written == NGTCP2_ERR_STREAM_DATA_BLOCKED || written == NGTCP2_ERR_STREAM_SHUT_WR) {
        stream_blocked_ = true;  // until something comes
        continue;
      }
      if (written < 0) {
        fail(static_cast<int>(written));
        length = last_words_ ? write_last(out, storage, at) : 0;
      } else {
        length = static_cast<std::size_t>(written);
      }
      break;
    }
  }
  if (length == 0) {
    // Paced once there is a round trip to pace by: that of a third of a second, which is assumed at
    // first, would hold the answer to early data back for longer than the handshake takes.
    if (ready_) ::ngtcp2_conn_update_pkt_tx_time(conn_, at);
    return 0;
  }
  path = {from_sockaddr(storage.path.local), from_sockaddr(storage.path.remote)};
  return length;
}

bool NgConnection::migrate(const Path& path, Instant now) {
  if (over_ || last_words_) return false;
  const NativePath native(path);
  return ::ngtcp2_conn_initiate_immediate_migration(conn_, &native.path, stamp(now)) == 0;
}

Path NgConnection::path() const {
  const ngtcp2_path* path = ::ngtcp2_conn_get_path(conn_);
  return {from_sockaddr(path->local), from_sockaddr(path->remote)};
}

std::size_t NgConnection::largest_datagram() const {
  return std::clamp(::ngtcp2_conn_get_path_max_tx_udp_payload_size(conn_), kSmallestPath,
                    kLargestDatagram);
}

}  // namespace isthmus::quic
