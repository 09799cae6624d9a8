#include "quic/tls.hpp"

#include <utility>

#include "quic/gnutls_native.hpp"

namespace isthmus::quic {

namespace {

constexpr const char* kPriorities =
    "%DISABLE_TLS13_COMPAT_MODE:NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:"
    "+AES-256-GCM:+CHACHA20-POLY1305:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1";

}  // namespace

Result<std::shared_ptr<const TlsCredentials>, TlsError> TlsCredentials::server(
    std::string_view chain_pem, std::string_view key_pem, KeyLogs key_logs) {
  auto made = client(std::move(key_logs));
  if (!made) return made;
  const gnutls_datum_t chain = datum(as_bytes(chain_pem)), key = datum(as_bytes(key_pem));
  const int failed =
      ::gnutls_certificate_set_x509_key_mem((*made)->native_, &chain, &key, GNUTLS_X509_FMT_PEM);
  if (failed < 0) {
    return TlsError{std::string("GnuTLS does not take the certificate or its key: ") +
                    ::gnutls_strerror(failed)};
  }
  return made;
}

Result<std::shared_ptr<const TlsCredentials>, TlsError> TlsCredentials::client(KeyLogs key_logs) {
  std::shared_ptr<TlsCredentials> made(new TlsCredentials);
  int failed = ::gnutls_certificate_allocate_credentials(&made->native_);
  if (failed >= 0) failed = ::gnutls_priority_init(&made->priorities_, kPriorities, nullptr);
  if (failed < 0) return TlsError{std::string("GnuTLS: ") + ::gnutls_strerror(failed)};
  made->key_logs_ = std::move(key_logs);
  return std::shared_ptr<const TlsCredentials>(std::move(made));
}

TlsCredentials::~TlsCredentials() {
  if (native_ != nullptr) ::gnutls_certificate_free_credentials(native_);
  if (priorities_ != nullptr) ::gnutls_priority_deinit(priorities_);
}

}  // namespace isthmus::quic
