#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

struct gnutls_certificate_credentials_st;
struct gnutls_priority_st;

namespace isthmus::quic {

inline constexpr std::string_view kAlpn = "isthmus/1";

struct TlsError {
  std::string text;
};

/// Takes secrets of links, a line each.
using KeyLog = std::function<void(std::string_view line)>;
/// Where secrets go, if anywhere: for investigations only.
struct KeyLogs {
  KeyLog tls;    ///< in the format of SSLKEYLOGFILE
  KeyLog media;  ///< a media packet's keys: `SRTP <SSRC> AEAD_AES_128_GCM <key> <salt>`, in hex
};

/// The certificate and key that one end of QUIC's TLS 1.3 uses, and its ciphers. Immutable and
/// shared: connections that began with one keep it when another takes its place.
class TlsCredentials {
 public:
  /// A server's. @param chain_pem  its own certificate first. @param key_pem  not encrypted.
  static Result<std::shared_ptr<const TlsCredentials>, TlsError> server(std::string_view chain_pem,
                                                                        std::string_view key_pem,
                                                                        KeyLogs key_logs = {});
  /// A client's: it shows no certificate.
  static Result<std::shared_ptr<const TlsCredentials>, TlsError> client(KeyLogs key_logs = {});
  ~TlsCredentials();
  TlsCredentials(const TlsCredentials&) = delete;
  TlsCredentials& operator=(const TlsCredentials&) = delete;

  gnutls_certificate_credentials_st* native() const { return native_; }
  /// What is offered and taken. Worked out once: of a connection's own it would be 8 KiB.
  gnutls_priority_st* priorities() const { return priorities_; }
  const KeyLogs& key_logs() const { return key_logs_; }

 private:
  TlsCredentials() = default;
  gnutls_certificate_credentials_st* native_ = nullptr;
  gnutls_priority_st* priorities_ = nullptr;
  KeyLogs key_logs_;
};

/// A client's judgement on what a server presents, each certificate in DER, its own first.
/// @return what is wrong with it, for a person; nothing: trusted
using VerifyChain = std::function<std::optional<std::string>(std::span<const ByteView> chain)>;

}  // namespace isthmus::quic
