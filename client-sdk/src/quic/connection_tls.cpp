#include <gnutls/crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "base/text.hpp"
#include "quic/gnutls_native.hpp"
#include "quic/ng_connection.hpp"

namespace isthmus::quic {

namespace {

/// The one value that QUIC knows (RFC 9001 §4.6.1): how much there may be, its own limits say.
constexpr std::size_t kEarlyDataOfQuic = 0xffffffff;

}  // namespace

bool NgConnection::start_tls(bool server, const TlsCredentials& credentials) {
  offer_no_greasing(conn_);
  const unsigned flags = GNUTLS_ENABLE_EARLY_DATA |
                         (server ? GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET : GNUTLS_CLIENT) |
                         GNUTLS_NO_END_OF_EARLY_DATA | GNUTLS_NO_SIGNAL;
  if (::gnutls_init(&tls_, flags) != 0) return false;
  if (::gnutls_priority_set(tls_, credentials.priorities()) != 0) return false;
  const int failed = server ? ::ngtcp2_crypto_gnutls_configure_server_session(tls_)
                            : ::ngtcp2_crypto_gnutls_configure_client_session(tls_);
  if (failed != 0) return false;
  ::gnutls_session_set_ptr(tls_, &reference_);
  // Set in any case: GnuTLS' own function writes to SSLKEYLOGFILE though nobody asked us to.
  ::gnutls_session_set_keylog_function(tls_, &NgConnection::log_secret);
  if (::gnutls_credentials_set(tls_, GNUTLS_CRD_CERTIFICATE, credentials.native()) != 0) {
    return false;
  }
  const gnutls_datum_t alpn = datum(as_bytes(kAlpn));
  if (::gnutls_alpn_set_protocols(tls_, &alpn, 1, GNUTLS_ALPN_MANDATORY) != 0) return false;
  ::ngtcp2_conn_set_tls_native_handle(conn_, tls_);
  return true;
}
bool NgConnection::start_tickets(const ServerTickets& tickets) {
  const gnutls_datum_t key = datum(tickets.key());
  if (::gnutls_session_ticket_enable_server(tls_, &key) < 0) return false;
  ::gnutls_anti_replay_enable(tls_, tickets.anti_replay());
  return ::gnutls_record_set_max_early_data_size(tls_, kEarlyDataOfQuic) >= 0;
}

/// The first time only makes the next keys ready; after that either end has begun to use them.
int NgConnection::on_key_update(ngtcp2_conn* conn, std::uint8_t* rx_secret, std::uint8_t* tx_secret,
                                ngtcp2_crypto_aead_ctx* rx, std::uint8_t* rx_iv,
                                ngtcp2_crypto_aead_ctx* tx, std::uint8_t* tx_iv,
                                const std::uint8_t* current_rx, const std::uint8_t* current_tx,
                                std::size_t length, void* user) {
  ++self(user).keys_made_;
  return ::ngtcp2_crypto_update_key_cb(conn, rx_secret, tx_secret, rx, rx_iv, tx, tx_iv, current_rx,
                                       current_tx, length, user);
}

/// A server's, now and then: new keys (RFC 9001 §6) before the old ones are worth much, long before
/// ngtcp2 changes them because they are worn, and a new ticket.
void NgConnection::refresh(ngtcp2_tstamp at) {
  refreshed_ = at;
  ::ngtcp2_conn_initiate_key_update(conn_, at);  // not while the last one is under way: next time
  if (tickets_) send_tickets(1);
}

/// They leave with the next datagrams.
void NgConnection::send_tickets(unsigned count) {
  ::gnutls_session_ticket_send(tls_, count, 0);  // without them the client shakes hands in full
}

/// One that does not fit is not used: the handshake is a full one then.
void NgConnection::use_ticket(const Ticket& ticket) {
  early_ = set_early_params(conn_, ticket.transport) &&
           ::gnutls_session_set_data(tls_, ticket.session.data(), ticket.session.size()) >= 0;
  if (early_) open_stream();
}

int NgConnection::on_ticket(gnutls_session_t session, unsigned, unsigned, unsigned incoming,
                            const gnutls_datum_t*) {
  auto* reference = static_cast<ngtcp2_crypto_conn_ref*>(::gnutls_session_get_ptr(session));
  const NgConnection& self = NgConnection::self(reference->user_data);
  gnutls_datum_t packed{};
  if (incoming == 0 || ::gnutls_session_get_data2(session, &packed) < 0) return 0;
  self.take_ticket_(
      {to_bytes(ByteView(packed.data, packed.size)), encode_early_params(self.conn_)});
  ::gnutls_free(packed.data);
  return 0;
}

/// Called in the middle of GnuTLS's handshake. @return 0 to go on
int NgConnection::verify(gnutls_session_t session) {
  auto* reference = static_cast<ngtcp2_crypto_conn_ref*>(::gnutls_session_get_ptr(session));
  NgConnection& self = NgConnection::self(reference->user_data);
  unsigned count = 0;
  const gnutls_datum_t* list = ::gnutls_certificate_get_peers(session, &count);
  std::vector<ByteView> chain;
  for (unsigned i = 0; list != nullptr && i < count; ++i) {
    chain.emplace_back(list[i].data, list[i].size);
  }
  if (!self.verify_) return -1;
  self.distrust_ = chain.empty() ? std::optional<std::string>("no certificate was presented")
                                 : self.verify_(chain);
  return self.distrust_ ? -1 : 0;
}

int NgConnection::log_secret(gnutls_session_t session, const char* label,
                             const gnutls_datum_t* secret) {
  auto* reference = static_cast<ngtcp2_crypto_conn_ref*>(::gnutls_session_get_ptr(session));
  const NgConnection& self = NgConnection::self(reference->user_data);
  if (!self.credentials_ || !self.credentials_->key_logs().tls) return 0;
  gnutls_datum_t client{}, server{};
  ::gnutls_session_get_random(session, &client, &server);
  std::string line(label);
  for (const gnutls_datum_t& part : {client, *secret}) {
    line += ' ';
    line += to_hex({part.data, part.size});
  }
  self.credentials_->key_logs().tls(line);
  return 0;
}

int NgConnection::on_handshake() {
  gnutls_datum_t chosen{};
  if (::gnutls_alpn_get_selected_protocol(tls_, &chosen) != 0 ||
      as_text({chosen.data, chosen.size}) != kAlpn) {
    distrust_.reset();
    ending_ = End{CloseCode::protocol_error, "the other end does not speak " + std::string(kAlpn)};
    return NGTCP2_ERR_CALLBACK_FAILURE;
  }
  ready_ = true;
  if (secret_) refreshed_ = latest_;
  if (tickets_) send_tickets(TicketBox::kOfOnePlace);
  if (!secret_ && early_ && (::gnutls_session_get_flags(tls_) & GNUTLS_SFLAGS_EARLY_DATA) == 0) {
    if (refuse_early_data(conn_) != 0) return NGTCP2_ERR_CALLBACK_FAILURE;
    on_early_refused();
  }
  if (!secret_) open_stream();
  return 0;
}
bool NgConnection::export_keys(std::string_view label, MutableBytes out) const {
  return ready_ && ::gnutls_prf_rfc5705(tls_, label.size(), label.data(), 0, nullptr, out.size(),
                                        reinterpret_cast<char*>(out.data())) == 0;
}

}  // namespace isthmus::quic
