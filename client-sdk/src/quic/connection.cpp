#include "quic/connection.hpp"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "quic/ngtcp2_native.hpp"

namespace isthmus::quic {

using wire::CloseCode;

namespace {

constexpr const char* kPriorities =
    "%DISABLE_TLS13_COMPAT_MODE:NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:"
    "+AES-256-GCM:+CHACHA20-POLY1305:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1";
constexpr std::uint64_t kStreamWindow = 256 * limits::kKiB;
constexpr int kPiecesPerWrite = 8;

CloseCode to_close_code(std::uint64_t code) {
  constexpr auto kLast = static_cast<std::uint64_t>(wire::kLastCloseCode);
  return code <= kLast ? static_cast<CloseCode>(code) : CloseCode::internal_error;
}

class NgConnection final : public Connection {
 public:
  explicit NgConnection(Random& random) : random_(random) {
    reference_.get_conn = [](ngtcp2_crypto_conn_ref* reference) {
      return static_cast<NgConnection*>(reference->user_data)->conn_;
    };
    reference_.user_data = this;
  }
  ~NgConnection() override;
  NgConnection(const NgConnection&) = delete;
  NgConnection& operator=(const NgConnection&) = delete;

  bool start_client(ClientSettings settings, const Path& path, Instant now);
  bool start_server(ServerSettings settings, const Path& path, Instant now);

  void read(const Path& path, ByteView datagram, Instant now) override;
  void on_timeout(Instant now) override;
  std::optional<Instant> next_deadline() const override;
  std::size_t write(MutableBytes out, Path& path, Instant now) override;
  void send(Bytes bytes) override;
  std::size_t unacknowledged_bytes() const override { return held_bytes_; }
  std::size_t unacknowledged_pieces() const override { return held_.size(); }
  Bytes take_received() override;
  bool ready() const override { return ready_ && !over_; }
  bool export_keys(std::string_view label, MutableBytes out) const override;
  bool migrate(const Path& path, Instant now) override;
  Path path() const override;
  std::size_t largest_datagram() const override;
  void forget_ids() override;
  void close(CloseCode code, std::string_view reason) override;
  const std::optional<End>& ended() const override { return over_; }

 private:
  static NgConnection& self(void* user_data) { return *static_cast<NgConnection*>(user_data); }
  static ngtcp2_callbacks callbacks(bool server);
  ngtcp2_settings settings(Instant now);
  static ngtcp2_transport_params params();
  bool start_tls(bool server, const TlsCredentials& credentials);
  static int verify(gnutls_session_t session);
  static int log_secret(gnutls_session_t session, const char* label, const gnutls_datum_t* secret);

  int on_stream_data(std::int64_t stream, std::uint64_t offset, ByteView data, bool fin);
  int on_stream_broken();
  int on_acknowledged(std::int64_t stream, std::uint64_t up_to);
  int on_new_id(ngtcp2_cid& id, std::uint8_t* token, std::size_t length);
  void tell_id(std::string_view id);
  void forget_id(std::string_view id);
  int on_handshake();
  void open_stream();

  ngtcp2_tstamp stamp(Instant now);
  void fail(int error);
  std::size_t unsent(std::array<ngtcp2_vec, kPiecesPerWrite>& pieces) const;
  std::size_t write_last(MutableBytes out, ngtcp2_path_storage& storage, ngtcp2_tstamp at);

  Random& random_;
  ngtcp2_conn* conn_ = nullptr;
  gnutls_session_t tls_ = nullptr;
  ngtcp2_crypto_conn_ref reference_{};
  ngtcp2_tstamp latest_ = 0;
  std::shared_ptr<const TlsCredentials> credentials_;
  VerifyChain verify_;
  std::optional<std::string> distrust_;
  std::vector<std::string> own_ids_;  ///< those that `ids_` was told of
  std::uint8_t shard_ = 0;
  std::optional<StaticSecret> secret_;  ///< a server's
  IdBook* ids_ = nullptr;

  std::int64_t stream_ = -1;
  std::deque<Bytes> held_;       ///< sent or waiting, not acknowledged
  std::uint64_t held_from_ = 0;  ///< stream offset of its first byte
  std::size_t held_bytes_ = 0;   ///< of all
  std::uint64_t sent_to_ = 0;    ///< stream offset up to which ngtcp2 has the data
  bool stream_blocked_ = false;
  Bytes received_;

  bool ready_ = false;
  std::optional<CloseError> last_words_;  ///< to be written
  std::string last_reason_;
  std::optional<End> ending_;  ///< `over_` once the last words are written
  std::optional<End> over_;
};

NgConnection::~NgConnection() {
  NgConnection::forget_ids();
  if (conn_ != nullptr) ::ngtcp2_conn_del(conn_);
  if (tls_ != nullptr) ::gnutls_deinit(tls_);
}

ngtcp2_callbacks NgConnection::callbacks(bool server) {
  ngtcp2_callbacks c{};
  if (server) {
    c.recv_client_initial = ::ngtcp2_crypto_recv_client_initial_cb;
    c.stream_open = [](ngtcp2_conn*, std::int64_t stream, void* user) {
      if (stream == 0) self(user).stream_ = 0;
      return 0;
    };
  } else {
    c.client_initial = ::ngtcp2_crypto_client_initial_cb;
    c.recv_retry = ::ngtcp2_crypto_recv_retry_cb;
    c.extend_max_local_streams_bidi = [](ngtcp2_conn*, std::uint64_t, void* user) {
      self(user).open_stream();
      return 0;
    };
  }
  c.recv_crypto_data = ::ngtcp2_crypto_recv_crypto_data_cb;
  c.encrypt = ::ngtcp2_crypto_encrypt_cb;
  c.decrypt = ::ngtcp2_crypto_decrypt_cb;
  c.hp_mask = ::ngtcp2_crypto_hp_mask_cb;
  c.update_key = ::ngtcp2_crypto_update_key_cb;
  c.delete_crypto_aead_ctx = ::ngtcp2_crypto_delete_crypto_aead_ctx_cb;
  c.delete_crypto_cipher_ctx = ::ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
  c.get_path_challenge_data = ::ngtcp2_crypto_get_path_challenge_data_cb;
  c.version_negotiation = ::ngtcp2_crypto_version_negotiation_cb;
  c.handshake_completed = [](ngtcp2_conn*, void* user) { return self(user).on_handshake(); };
  c.recv_stream_data = [](ngtcp2_conn*, std::uint32_t flags, std::int64_t stream,
                          std::uint64_t offset, const std::uint8_t* data, std::size_t length,
                          void* user, void*) {
    return self(user).on_stream_data(stream, offset, {data, length},
                                     (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
  };
  c.stream_reset = [](ngtcp2_conn*, std::int64_t, std::uint64_t, std::uint64_t, void* user, void*) {
    return self(user).on_stream_broken();
  };
  c.stream_stop_sending = [](ngtcp2_conn*, std::int64_t, std::uint64_t, void* user, void*) {
    return self(user).on_stream_broken();
  };
  c.acked_stream_data_offset = [](ngtcp2_conn*, std::int64_t stream, std::uint64_t offset,
                                  std::uint64_t length, void* user, void*) {
    return self(user).on_acknowledged(stream, offset + length);
  };
  c.rand = [](std::uint8_t* out, std::size_t length, const ngtcp2_rand_ctx* context) {
    static_cast<Random*>(context->native_handle)->fill({out, length});
  };
  c.get_new_connection_id = [](ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token,
                               std::size_t length,
                               void* user) { return self(user).on_new_id(*id, token, length); };
  c.remove_connection_id = [](ngtcp2_conn*, const ngtcp2_cid* id, void* user) {
    self(user).forget_id(view_of(*id));
    return 0;
  };
  c.recv_stateless_reset = [](ngtcp2_conn*, const ngtcp2_pkt_stateless_reset*, void* user) {
    self(user).ending_ = End{CloseCode::going_away, "the other end has forgotten the connection"};
    return 0;
  };
  return c;
}

ngtcp2_settings NgConnection::settings(Instant now) {
  ngtcp2_settings settings{};
  ::ngtcp2_settings_default(&settings);
  settings.initial_ts = stamp(now);
  settings.handshake_timeout = to_ngtcp2(limits::kUnauthenticatedLife);
  settings.max_tx_udp_payload_size = kLargestDatagram;
  settings.rand_ctx.native_handle = &random_;
  return settings;
}

ngtcp2_transport_params NgConnection::params() {
  ngtcp2_transport_params params{};
  ::ngtcp2_transport_params_default(&params);
  params.initial_max_data = kStreamWindow;
  params.initial_max_stream_data_bidi_local = kStreamWindow;
  params.initial_max_stream_data_bidi_remote = kStreamWindow;
  params.active_connection_id_limit = 4;
  // The session's own Pings find a dead link; this is for ends that never had a session.
  params.max_idle_timeout = to_ngtcp2(limits::kMaxKeepAlive * (limits::kMissedPings + 1));
  return params;
}

bool NgConnection::start_tls(bool server, const TlsCredentials& credentials) {
  offer_no_greasing(conn_);
  const unsigned flags = (server ? GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET : GNUTLS_CLIENT) |
                         GNUTLS_NO_END_OF_EARLY_DATA | GNUTLS_NO_SIGNAL;
  if (::gnutls_init(&tls_, flags) != 0) return false;
  if (::gnutls_priority_set_direct(tls_, kPriorities, nullptr) != 0) return false;
  const int failed = server ? ::ngtcp2_crypto_gnutls_configure_server_session(tls_)
                            : ::ngtcp2_crypto_gnutls_configure_client_session(tls_);
  if (failed != 0) return false;
  ::gnutls_session_set_ptr(tls_, &reference_);
  // Set in any case: GnuTLS' own function writes to SSLKEYLOGFILE though nobody asked us to.
  ::gnutls_session_set_keylog_function(tls_, &NgConnection::log_secret);
  if (::gnutls_credentials_set(tls_, GNUTLS_CRD_CERTIFICATE, credentials.native()) != 0) {
    return false;
  }
  const gnutls_datum_t alpn{const_cast<unsigned char*>(as_bytes(kAlpn).data()),
                            static_cast<unsigned>(kAlpn.size())};
  if (::gnutls_alpn_set_protocols(tls_, &alpn, 1, GNUTLS_ALPN_MANDATORY) != 0) return false;
  ::ngtcp2_conn_set_tls_native_handle(conn_, tls_);
  return true;
}

bool NgConnection::start_client(ClientSettings options, const Path& path, Instant now) {
  credentials_ = std::move(options.credentials);
  verify_ = std::move(options.verify);
  const ngtcp2_callbacks callbacks = NgConnection::callbacks(false);
  const ngtcp2_settings settings = this->settings(now);
  const ngtcp2_transport_params params = NgConnection::params();
  std::array<std::uint8_t, kConnectionIdBytes + NGTCP2_MIN_INITIAL_DCIDLEN> ids{};
  random_.fill(ids);
  ngtcp2_cid source{}, destination{};
  ::ngtcp2_cid_init(&source, ids.data(), kConnectionIdBytes);
  ::ngtcp2_cid_init(&destination, ids.data() + kConnectionIdBytes, NGTCP2_MIN_INITIAL_DCIDLEN);
  const NativePath native(path);
  if (::ngtcp2_conn_client_new(&conn_, &destination, &source, &native.path, kVersion, &callbacks,
                               &settings, &params, nullptr, this) != 0) {
    return false;
  }
  if (!start_tls(false, *credentials_)) return false;
  ::gnutls_session_set_verify_function(tls_, &NgConnection::verify);
  if (IpAddress::parse(options.host)) return true;
  return ::gnutls_server_name_set(tls_, GNUTLS_NAME_DNS, options.host.data(),
                                  options.host.size()) == 0;
}

bool NgConnection::start_server(ServerSettings options, const Path& path, Instant now) {
  credentials_ = std::move(options.credentials);
  shard_ = options.shard;
  secret_ = options.secret;
  const ngtcp2_callbacks callbacks = NgConnection::callbacks(true);
  ngtcp2_settings settings = this->settings(now);
  ngtcp2_transport_params params = NgConnection::params();
  params.initial_max_streams_bidi = 1;
  const bool retried = !options.original_destination.empty();
  const ngtcp2_cid destination = to_cid(options.initial.destination);
  params.original_dcid = retried ? to_cid(options.original_destination) : destination;
  mark_original_id(params);
  std::string token = options.initial.token;
  if (retried) {
    params.retry_scid = destination;
    params.retry_scid_present = 1;
    auto* bytes = reinterpret_cast<std::uint8_t*>(token.data());
#if ISTHMUS_NGTCP2_1
    settings.token = bytes;
    settings.tokenlen = token.size();
    settings.token_type = NGTCP2_TOKEN_TYPE_RETRY;
#else
    settings.token = {bytes, token.size()};
#endif
  }
  ngtcp2_cid source{};
  std::array<std::uint8_t, NGTCP2_STATELESS_RESET_TOKENLEN> reset{};
  if (on_new_id(source, reset.data(), kConnectionIdBytes) != 0) return false;
  std::ranges::copy(reset, params.stateless_reset_token);
  params.stateless_reset_token_present = 1;
  const ngtcp2_cid peer = to_cid(options.initial.source);
  const NativePath native(path);
  if (::ngtcp2_conn_server_new(&conn_, &peer, &source, &native.path, options.initial.version,
                               &callbacks, &settings, &params, nullptr, this) != 0) {
    return false;
  }
  if (!start_tls(true, *credentials_)) return false;
  ids_ = options.ids;
  if (ids_ != nullptr) {
    tell_id(options.initial.destination);
    tell_id(view_of(source));
  }
  return true;
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
  if (!self.credentials_ || !self.credentials_->key_log()) return 0;
  gnutls_datum_t client{}, server{};
  ::gnutls_session_get_random(session, &client, &server);
  std::string line(label);
  for (const gnutls_datum_t& part : {client, *secret}) {
    line += ' ';
    line += to_hex({part.data, part.size});
  }
  self.credentials_->key_log()(line);
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
  if (!secret_) open_stream();
  return 0;
}

void NgConnection::open_stream() {
  if (stream_ >= 0 || conn_ == nullptr) return;
  if (::ngtcp2_conn_open_bidi_stream(conn_, &stream_, nullptr) != 0) stream_ = -1;
}

int NgConnection::on_stream_data(std::int64_t stream, std::uint64_t, ByteView data, bool fin) {
  if (stream != 0) return NGTCP2_ERR_CALLBACK_FAILURE;  // the limits allow no other
  received_.insert(received_.end(), data.begin(), data.end());
  return fin ? on_stream_broken() : 0;
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

int NgConnection::on_new_id(ngtcp2_cid& id, std::uint8_t* token, std::size_t length) {
  id.datalen = std::min<std::size_t>(length, NGTCP2_MAX_CIDLEN);
  random_.fill({id.data, id.datalen});
  if (!secret_) {
    random_.fill({token, NGTCP2_STATELESS_RESET_TOKENLEN});
    return 0;
  }
  if (id.datalen > 0) id.data[0] = shard_;
  if (::ngtcp2_crypto_generate_stateless_reset_token(token, secret_->data(), secret_->size(),
                                                     &id) != 0) {
    return NGTCP2_ERR_CALLBACK_FAILURE;
  }
  tell_id(view_of(id));
  return 0;
}

void NgConnection::tell_id(std::string_view id) {
  if (ids_ == nullptr) return;
  own_ids_.emplace_back(id);
  ids_->add(id);
}

void NgConnection::forget_ids() {
  if (ids_ == nullptr) return;
  for (const std::string& id : own_ids_) ids_->remove(id);
  own_ids_.clear();
  ids_ = nullptr;
}

void NgConnection::forget_id(std::string_view id) {
  if (ids_ != nullptr && std::erase(own_ids_, id) > 0) ids_->remove(id);
}

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
    ::ngtcp2_conn_update_pkt_tx_time(conn_, at);
    return 0;
  }
  path = {from_sockaddr(storage.path.local), from_sockaddr(storage.path.remote)};
  return length;
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

bool NgConnection::export_keys(std::string_view label, MutableBytes out) const {
  return ready_ && ::gnutls_prf_rfc5705(tls_, label.size(), label.data(), 0, nullptr, out.size(),
                                        reinterpret_cast<char*>(out.data())) == 0;
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

}  // namespace

std::unique_ptr<Connection> Connection::client(ClientSettings settings, const Path& path,
                                               Random& random, Instant now) {
  auto made = std::make_unique<NgConnection>(random);
  if (!made->start_client(std::move(settings), path, now)) return nullptr;
  return made;
}

std::unique_ptr<Connection> Connection::server(ServerSettings settings, const Path& path,
                                               Random& random, Instant now) {
  auto made = std::make_unique<NgConnection>(random);
  if (!made->start_server(std::move(settings), path, now)) return nullptr;
  return made;
}

}  // namespace isthmus::quic
