#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

struct x509_st;
struct ssl_st;
struct x509_store_ctx_st;

namespace boost::asio::ssl {
class context;
}

namespace isthmus::net {

/// SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 7469 §2.4): it names a key whoever signed
/// it, and stays the same when a certificate is renewed with its key.
struct Pin {
  std::array<std::uint8_t, 32> sha256{};

  static Pin of(const x509_st& certificate);
  /// 64 hexadecimal digits, or base64 with or without "sha256//" before and "=" after it.
  static std::optional<Pin> parse(std::string_view text);
  std::string to_string() const;  ///< "sha256//<base64>"
  bool operator==(const Pin&) const = default;
};

/// Which gateways a client believes. Without anything said: the system's root certificates and the
/// name.
struct TrustOptions {
  std::string ca_file;            ///< PEM; in place of the system's roots
  std::vector<std::string> pins;  ///< if any, the key alone decides: not the issuer, name or dates
  bool insecure = false;          ///< take any certificate; for experiments only
  bool key_log = false;           ///< write secrets of links as key_log.hpp says
};

enum class TrustErrorKind : std::uint8_t {
  bad_options,  ///< a pin or CA file cannot be read; nothing was connected
  expired,
  not_yet_valid,
  name_mismatch,
  unknown_issuer,
  pin_mismatch,
  other,
};

struct TrustError {
  TrustErrorKind kind = TrustErrorKind::other;
  std::string
      text;  ///< says what to do where something can be done, and the pin that was presented
};

/// A client's side of TLS: the context (TLS 1.2 or later) and the judgement on what a server
/// presents. Shared by any number of connections of one thread.
class ClientTrust {
 public:
  static Result<std::shared_ptr<ClientTrust>, TrustError> make(const TrustOptions& options);
  ~ClientTrust();

  boost::asio::ssl::context& context() { return *context_; }
  bool key_log() const { return key_log_; }

  /// Filled when a handshake fails because of the certificate.
  using Verdict = std::shared_ptr<std::optional<TrustError>>;
  using VerifyCallback = std::function<bool(bool preverified, x509_store_ctx_st* store)>;
  /// Sets the name to be verified and sent (SNI, RFC 6066 §3; not for addresses) on a connection
  /// that has not begun its handshake.
  /// @return what to give to the stream's verify callback
  VerifyCallback prepare(ssl_st* connection, const std::string& host, Verdict verdict) const;
  /// The same judgement on a chain in DER, the server's own certificate first, for a link whose TLS
  /// is not OpenSSL's. @return nothing: trusted
  std::optional<TrustError> judge_chain(std::span<const ByteView> chain,
                                        const std::string& host) const;

 private:
  ClientTrust();

  std::unique_ptr<boost::asio::ssl::context> context_;
  std::vector<Pin> pins_;
  bool insecure_ = false, key_log_ = false;
};

}  // namespace isthmus::net
