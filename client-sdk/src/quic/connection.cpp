#include "quic/connection.hpp"

#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <algorithm>
#include <utility>

#include "base/limits.hpp"
#include "quic/ng_connection.hpp"

namespace isthmus::quic {

namespace {

constexpr std::uint64_t kStreamWindow = 256 * limits::kKiB;

}  // namespace

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
  c.update_key = &NgConnection::on_key_update;
  c.delete_crypto_aead_ctx = ::ngtcp2_crypto_delete_crypto_aead_ctx_cb;
  c.delete_crypto_cipher_ctx = ::ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
  c.get_path_challenge_data = ::ngtcp2_crypto_get_path_challenge_data_cb;
  c.version_negotiation = ::ngtcp2_crypto_version_negotiation_cb;
  c.handshake_completed = [](ngtcp2_conn*, void* user) { return self(user).on_handshake(); };
  c.recv_stream_data = [](ngtcp2_conn*, std::uint32_t flags, std::int64_t stream, std::uint64_t,
                          const std::uint8_t* data, std::size_t length, void* user, void*) {
    return self(user).on_stream_data(stream, {data, length},
                                     (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0,
                                     (flags & kEarlyStreamData) != 0);
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
  take_ticket_ = std::move(options.on_ticket);
  if (take_ticket_) {
    ::gnutls_handshake_set_hook_function(tls_, GNUTLS_HANDSHAKE_NEW_SESSION_TICKET,
                                         GNUTLS_HOOK_POST, &NgConnection::on_ticket);
  }
  if (options.ticket) use_ticket(*options.ticket);
  if (IpAddress::parse(options.host)) return true;
  return ::gnutls_server_name_set(tls_, GNUTLS_NAME_DNS, options.host.data(),
                                  options.host.size()) == 0;
}

bool NgConnection::start_server(ServerSettings options, const Path& path, Instant now) {
  credentials_ = std::move(options.credentials);
  shard_ = options.shard;
  secret_ = options.secret;
  tickets_ = std::move(options.tickets);
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
  if (tickets_ && !start_tickets(*tickets_)) return false;
  ids_ = options.ids;
  if (ids_ != nullptr) {
    tell_id(options.initial.destination);
    tell_id(view_of(source));
  }
  return true;
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
