#include "transport/tls_contexts.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509err.h>

#include <boost/asio/ssl/context.hpp>
#include <optional>

#include "base/address.hpp"
#include "base/limits.hpp"
#include "net/asio_error.hpp"
#include "transport/tls_identity.hpp"

namespace isthmus::transport {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

namespace {

/// A password prompt on a server's terminal would hang it.
std::string no_password(std::size_t, ssl::context::password_purpose) {
  return {};
}

std::optional<TlsFault> use_certificate(ssl::context& context, const std::string& certificate,
                                        const std::string& key) {
  error_code error;
  context.set_password_callback(no_password, error);
  context.use_certificate_chain_file(certificate, error);
  if (error) {
    return TlsFault{"the certificate " + certificate + " cannot be used: " + net::to_text(error)};
  }
  context.use_private_key_file(key, ssl::context::pem, error);
  if (!error) return std::nullopt;
  const auto code = static_cast<unsigned long>(static_cast<unsigned>(error.value()));
  if (ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH) {
    return TlsFault{"the key " + key + " does not belong to the certificate " + certificate};
  }
  return TlsFault{"the key " + key + " cannot be used: " + net::to_text(error)};
}

std::optional<TlsFault> use_authorities(ssl::context& context, const std::string& file) {
  error_code error;
  if (file.empty()) {
    context.set_default_verify_paths(error);
    if (error) return TlsFault{"the system's authorities: " + net::to_text(error)};
    return std::nullopt;
  }
  context.load_verify_file(file, error);
  if (error) return TlsFault{"the CA file " + file + " cannot be used: " + net::to_text(error)};
  return std::nullopt;
}

void harden(ssl::context& context) {
  SSL_CTX* raw = context.native_handle();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(
      raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);  // 34 KiB less for every connection at rest
}

}  // namespace

Result<TlsContexts::Context, TlsFault> TlsContexts::server(const TlsServer& files) {
  ::ERR_clear_error();
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  harden(*context);
  if (auto fault = use_certificate(*context, files.certificate, files.private_key)) return *fault;
  static constexpr unsigned char kSessions[] = "isthmus-sip";
  ::SSL_CTX_set_session_id_context(context->native_handle(), kSessions, sizeof kSessions - 1);
  if (files.client_ca.empty()) return context;
  if (auto fault = use_authorities(*context, files.client_ca)) return *fault;
  ::SSL_CTX_set_client_CA_list(context->native_handle(),
                               ::SSL_load_client_CA_file(files.client_ca.c_str()));
  const int required = files.require_client_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  ::SSL_CTX_set_verify(context->native_handle(), SSL_VERIFY_PEER | required, nullptr);
  return context;
}

Result<TlsContexts::Context, TlsFault> TlsContexts::client(const TlsPeer& peer) {
  const auto key = std::make_tuple(peer.ca_file, peer.certificate, peer.private_key);
  if (auto known = clients_.find(key); known != clients_.end()) return known->second;
  ::ERR_clear_error();
  auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
  harden(*context);
  if (auto fault = use_authorities(*context, peer.ca_file)) return *fault;
  if (!peer.certificate.empty()) {
    if (auto fault = use_certificate(*context, peer.certificate, peer.private_key)) return *fault;
  }
  clients_.emplace(key, context);
  return context;
}

void TlsContexts::set_name(ssl_st* connection, const TlsPeer& peer) {
  if (peer.name.empty() || IpAddress::parse(peer.name)) return;
  // The macro for this casts in C's way.
  ::SSL_ctrl(connection, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             const_cast<char*>(peer.name.c_str()));
}

bool TlsContexts::judge(bool preverified, x509_store_ctx_st* store, const TlsPeer& peer,
                        std::string& verdict) {
  if (peer.insecure) return true;
  const X509* leaf = ::X509_STORE_CTX_get0_cert(store);
  if (!preverified) {
    verdict = "the certificate of " + peer.name + " is not acceptable: " +
              ::X509_verify_cert_error_string(::X509_STORE_CTX_get_error(store));
    return false;
  }
  if (::X509_STORE_CTX_get_error_depth(store) > 0) return true;
  if (leaf != nullptr && is_identity_of(*leaf, peer.name, peer.wildcards)) return true;
  ::X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
  verdict = "the certificate is for " + (leaf ? identities_of(*leaf) : std::string("nobody")) +
            ", not for " + peer.name;
  return false;
}

}  // namespace isthmus::transport
