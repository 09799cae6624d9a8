#include <algorithm>
#include <utility>

#include "quic/ng_connection.hpp"

namespace isthmus::quic {

void NgConnection::open_stream() {
  if (stream_ >= 0 || conn_ == nullptr) return;
  if (::ngtcp2_conn_open_bidi_stream(conn_, &stream_, nullptr) != 0) stream_ = -1;
}

int NgConnection::on_stream_data(std::int64_t stream, ByteView data, bool fin, bool early) {
  if (stream != 0) return NGTCP2_ERR_CALLBACK_FAILURE;  // the limits allow no other
  if (early) early_ = true;
  received_.insert(received_.end(), data.begin(), data.end());
  return fin ? on_stream_broken() : 0;
}

/// Nothing of it arrived: the stream begins anew, with all that was sent on it.
void NgConnection::on_early_refused() {
  early_refused_ = true;
  stream_ = -1;
  sent_to_ = held_from_;
  stream_blocked_ = false;
}

int NgConnection::on_stream_broken() {
  if (!ending_) ending_ = End{CloseCode::protocol_error, "the peer ended the stream"};
  return 0;
}

int NgConnection::on_acknowledged(std::int64_t, std::uint64_t up_to) {
  while (!held_.empty() && held_from_ + held_.front().size() <= up_to) {
    held_from_ += held_.front().size();
    held_bytes_ -= held_.front().size();
    held_.pop_front();
  }
  return 0;
}

std::size_t NgConnection::unsent(std::array<ngtcp2_vec, kPiecesPerWrite>& pieces) const {
  std::size_t count = 0;
  std::uint64_t offset = held_from_;
  for (const Bytes& piece : held_) {
    const std::uint64_t end = offset + piece.size();
    if (end > sent_to_) {
      const auto skip = static_cast<std::size_t>(std::max(sent_to_, offset) - offset);
      // ngtcp2 takes what it sends as writable, and does not write to it.
      pieces[count++] = {const_cast<std::uint8_t*>(piece.data()) + skip, piece.size() - skip};
      if (count == pieces.size()) break;
    }
    offset = end;
  }
  return count;
}

void NgConnection::send(Bytes bytes) {
  if (bytes.empty() || over_) return;
  held_bytes_ += bytes.size();
  held_.push_back(std::move(bytes));
}

Bytes NgConnection::take_received() {
  if (!received_.empty() && stream_ >= 0 && !over_) {
    ::ngtcp2_conn_extend_max_stream_offset(conn_, stream_, received_.size());
    ::ngtcp2_conn_extend_max_offset(conn_, received_.size());
  }
  return std::exchange(received_, {});
}

}  // namespace isthmus::quic
