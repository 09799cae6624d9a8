#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "quic/ng_connection.hpp"

namespace isthmus::quic {

namespace {

CloseCode to_close_code(std::uint64_t code) {
  constexpr auto kLast = static_cast<std::uint64_t>(wire::kLastCloseCode);
  return code <= kLast ? static_cast<CloseCode>(code) : CloseCode::internal_error;
}

}  // namespace

/// What ends the connection, as said by ngtcp2's error codes.
void NgConnection::fail(int error) {
  switch (error) {
    case NGTCP2_ERR_DRAINING: {
      if (ending_) {  // a stateless reset
        over_ = std::move(ending_);
        return;
      }
      const CloseError said = said_by_peer(conn_);
      std::string reason;
      if (said.reason != nullptr) {
        const ByteView text{said.reason, std::min(said.reasonlen, limits::kReasonBytes)};
        reason = printable_ascii(as_text(text));
      }
      if (said.type == kApplicationClose) {
        if (reason.empty()) reason = "the other end closed the link";
        over_ = End{to_close_code(said.error_code), std::move(reason)};
      } else {
        over_ = End{said.error_code == NGTCP2_CONNECTION_REFUSED ? CloseCode::limit_exceeded
                                                                 : CloseCode::protocol_error,
                    "QUIC: the other end closed with error " + std::to_string(said.error_code) +
                        (reason.empty() ? "" : ", " + reason)};
      }
      return;
    }
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY:
      over_ = End{CloseCode::protocol_error, "QUIC: no connection came of the first packet"};
      return;
    case NGTCP2_ERR_IDLE_CLOSE:
      over_ = End{CloseCode::timeout, "nothing was heard for too long"};
      return;
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
      over_ = End{CloseCode::timeout, "the QUIC handshake did not end in time"};
      return;
    default:
      break;
  }
  CloseError words{};
  default_close_error(&words);
  if (error == NGTCP2_ERR_CRYPTO) {
    const std::uint8_t alert = ::ngtcp2_conn_get_tls_alert(conn_);
    set_tls_alert(&words, alert, nullptr, 0);
    const char* name = ::gnutls_alert_get_name(static_cast<gnutls_alert_description_t>(alert));
    ending_ = distrust_ ? End{CloseCode::forbidden, *distrust_}
                        : End{CloseCode::protocol_error,
                              std::string("TLS: ") + (name == nullptr ? "failed" : name)};
  } else {
    set_library_error(&words, error, nullptr, 0);
    if (!ending_) {
      ending_ = End{CloseCode::protocol_error, std::string("QUIC: ") + ::ngtcp2_strerror(error)};
    }
  }
  last_words_ = words;
}

void NgConnection::close(CloseCode code, std::string_view reason) {
  if (over_ || last_words_) return;
  CloseError words{};
  default_close_error(&words);
  last_reason_ = reason.substr(0, limits::kReasonBytes);
  if (ready_) {
    set_application_error(&words, static_cast<std::uint64_t>(code), as_bytes(last_reason_).data(),
                          last_reason_.size());
  } else {  // RFC 9000 §10.2.3: before that, nothing of the application is said
    set_transport_error(&words, NGTCP2_APPLICATION_ERROR, nullptr, 0);
  }
  last_words_ = words;
  ending_ = End{code, std::string(reason)};
}

std::size_t NgConnection::write_last(MutableBytes out, ngtcp2_path_storage& storage,
                                     ngtcp2_tstamp at) {
  ngtcp2_pkt_info info{};
  const auto length = ::ngtcp2_conn_write_connection_close(conn_, &storage.path, &info, out.data(),
                                                           out.size(), &*last_words_, at);
  over_ = std::move(ending_);
  if (!over_) over_ = End{};
  return length > 0 ? static_cast<std::size_t>(length) : 0;
}

}  // namespace isthmus::quic
