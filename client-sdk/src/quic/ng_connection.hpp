#pragma once
// The one implementation of Connection, by ngtcp2 and GnuTLS. Its functions are by concern:
// connection.cpp begins a connection and gives out ids, connection_tls.cpp is what GnuTLS asks and
// tells, connection_stream.cpp the one stream, connection_io.cpp datagrams and time,
// connection_end.cpp how it ends. Included by these alone.
#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quic/connection.hpp"
#include "quic/ngtcp2_native.hpp"

namespace isthmus::quic {

using wire::CloseCode;

inline constexpr int kPiecesPerWrite = 8;

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
  std::uint64_t key_updates() const override { return keys_made_ > 0 ? keys_made_ - 1 : 0; }
  bool early() const override { return early_ && !ready_ && !over_; }
  bool early_refused() const override { return early_refused_; }
  bool export_keys(std::string_view label, MutableBytes out) const override;
  const KeyLog& media_key_log() const override { return credentials_->key_logs().media; }
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
  bool start_tickets(const ServerTickets& tickets);
  void send_tickets(unsigned count);
  void refresh(ngtcp2_tstamp at);
  static int on_key_update(ngtcp2_conn* conn, std::uint8_t* rx_secret, std::uint8_t* tx_secret,
                           ngtcp2_crypto_aead_ctx* rx, std::uint8_t* rx_iv,
                           ngtcp2_crypto_aead_ctx* tx, std::uint8_t* tx_iv,
                           const std::uint8_t* current_rx, const std::uint8_t* current_tx,
                           std::size_t length, void* user);
  void use_ticket(const Ticket& ticket);
  static int on_ticket(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                       const gnutls_datum_t* message);
  static int log_secret(gnutls_session_t session, const char* label, const gnutls_datum_t* secret);

  int on_stream_data(std::int64_t stream, ByteView data, bool fin, bool early);
  void on_early_refused();
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

  std::shared_ptr<ServerTickets> tickets_;   ///< a server's
  std::function<void(Ticket)> take_ticket_;  ///< a client's
  std::optional<ngtcp2_tstamp> refreshed_;   ///< a server: when its client got keys and tickets
  std::uint64_t keys_made_ = 0;
  bool early_ = false, early_refused_ = false;

  bool ready_ = false;
  std::optional<CloseError> last_words_;  ///< to be written
  std::string last_reason_;
  std::optional<End> ending_;  ///< `over_` once the last words are written
  std::optional<End> over_;
};

}  // namespace isthmus::quic
