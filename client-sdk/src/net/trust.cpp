#include "net/trust.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <boost/asio/ssl/context.hpp>
#include <utility>

#include "base/address.hpp"
#include "base/base64.hpp"
#include "base/bytes.hpp"
#include "base/text.hpp"
#include "net/asio_error.hpp"
#include "net/key_log.hpp"

namespace isthmus::net {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

namespace {

constexpr std::string_view kPinPrefix = "sha256//";

/// Names in a certificate are a stranger's.
std::string shown(std::string_view name) {
  return printable_ascii(name.substr(0, 200));
}

std::string issuer_of(const X509& certificate) {
  char text[256] = {};
  ::X509_NAME_oneline(::X509_get_issuer_name(&certificate), text, sizeof text);
  return shown(text);
}

/// The DNS names and addresses that a certificate is for, the first eight.
std::string names_of(const X509& certificate) {
  std::string out;
  auto* names = static_cast<GENERAL_NAMES*>(
      ::X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr));
  const int count = names == nullptr ? 0 : std::min(sk_GENERAL_NAME_num(names), 8);
  for (int i = 0; i < count; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    std::string text;
    if (name->type == GEN_DNS) {
      const ASN1_STRING* dns = name->d.dNSName;
      const auto length = static_cast<std::size_t>(::ASN1_STRING_length(dns));
      text = shown(as_text({::ASN1_STRING_get0_data(dns), length}));
    } else if (name->type == GEN_IPADD) {
      const ByteView bytes{::ASN1_STRING_get0_data(name->d.iPAddress),
                           static_cast<std::size_t>(::ASN1_STRING_length(name->d.iPAddress))};
      Reader reader(bytes);
      if (bytes.size() == 4) text = IpAddress::v4(reader.u32()).to_string();
      if (bytes.size() == 16) {
        std::array<std::uint8_t, 16> v6{};
        std::ranges::copy(bytes, v6.begin());
        text = IpAddress::v6(v6).to_string();
      }
    }
    if (text.empty()) continue;
    if (!out.empty()) out += ", ";
    out += text;
  }
  ::GENERAL_NAMES_free(names);
  return out.empty() ? "no name" : out;
}

std::string date_of(const ASN1_TIME* time) {
  std::tm parts{};
  char text[32] = {};
  if (::ASN1_TIME_to_tm(time, &parts) != 1) return "an unreadable date";
  std::strftime(text, sizeof text, "%Y-%m-%d", &parts);
  return text;
}

TrustError judge(int error, const X509* culprit, const X509& leaf, const std::string& host) {
  const X509& named = culprit != nullptr ? *culprit : leaf;
  const std::string pin = Pin::of(leaf).to_string();
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return {TrustErrorKind::expired, "the certificate of " + host + " expired on " +
                                           date_of(::X509_get0_notAfter(&named)) +
                                           " (its pin: " + pin + ")"};
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return {TrustErrorKind::not_yet_valid, "the certificate of " + host + " is valid only from " +
                                                 date_of(::X509_get0_notBefore(&named)) +
                                                 "; is this machine's clock right?"};
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return {TrustErrorKind::name_mismatch, "the certificate is for " + names_of(leaf) +
                                                 ", not for " + host + " (its pin: " + pin + ")"};
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return {TrustErrorKind::unknown_issuer,
              "the certificate of " + host + " was issued by an unknown authority, " +
                  issuer_of(named) + "; if it is the right one, trust it by its pin: " + pin};
    default:
      return {TrustErrorKind::other, "the certificate of " + host + " is not acceptable: " +
                                         ::X509_verify_cert_error_string(error) +
                                         " (its pin: " + pin + ")"};
  }
}

TrustError pin_mismatch(const Pin& presented, const std::string& host) {
  return {TrustErrorKind::pin_mismatch,
          host + " presented the key " + presented.to_string() +
              ", which is not the pinned one; either its key was renewed or somebody stands in "
              "between"};
}

void expect_host(X509_VERIFY_PARAM* param, const std::string& host) {
  if (IpAddress::parse(host)) {
    ::X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str());
  } else {
    ::X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    ::X509_VERIFY_PARAM_set1_host(param, host.c_str(), host.size());
  }
}

struct FreeX509 {
  void operator()(X509* certificate) const { ::X509_free(certificate); }
};
using X509Ptr = std::unique_ptr<X509, FreeX509>;

X509Ptr read_der(ByteView der) {
  const unsigned char* bytes = der.data();
  return X509Ptr(::d2i_X509(nullptr, &bytes, static_cast<long>(der.size())));
}

TrustError bad_options(std::string text) {
  return {TrustErrorKind::bad_options, std::move(text)};
}

}  // namespace

Pin Pin::of(const x509_st& certificate) {
  Pin pin;
  unsigned char* der = nullptr;
  const int length = ::i2d_X509_PUBKEY(::X509_get_X509_PUBKEY(&certificate), &der);
  if (length > 0) {
    ::EVP_Digest(der, static_cast<std::size_t>(length), pin.sha256.data(), nullptr, ::EVP_sha256(),
                 nullptr);
  }
  ::OPENSSL_free(der);
  return pin;
}

std::optional<Pin> Pin::parse(std::string_view text) {
  text = trim(text);
  Pin pin;
  if (text.size() == 2 * pin.sha256.size()) {
    const auto bytes = from_hex(text);
    if (!bytes || bytes->size() != pin.sha256.size()) return std::nullopt;
    std::ranges::copy(*bytes, pin.sha256.begin());
    return pin;
  }
  if (text.starts_with(kPinPrefix)) text.remove_prefix(kPinPrefix.size());
  if (text.ends_with('=')) text.remove_suffix(1);
  const auto bytes = base64_decode(text, Base64::standard);
  if (!bytes || bytes->size() != pin.sha256.size()) return std::nullopt;
  std::ranges::copy(*bytes, pin.sha256.begin());
  return pin;
}

std::string Pin::to_string() const {
  return std::string(kPinPrefix) + base64_padded(sha256);
}

ClientTrust::ClientTrust() : context_(std::make_unique<ssl::context>(ssl::context::tls_client)) {}

ClientTrust::~ClientTrust() = default;

Result<std::shared_ptr<ClientTrust>, TrustError> ClientTrust::make(const TrustOptions& options) {
  std::shared_ptr<ClientTrust> trust(new ClientTrust);
  ssl::context& context = *trust->context_;
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context.native_handle(), SSL_MODE_RELEASE_BUFFERS);
  trust->insecure_ = options.insecure;
  trust->key_log_ = options.key_log;
  if (options.key_log) log_keys(context.native_handle());
  for (const std::string& text : options.pins) {
    const auto pin = Pin::parse(text);
    if (!pin) {
      return bad_options("\"" + text +
                         "\" is no pin: 64 hexadecimal digits or sha256// and base64 are");
    }
    trust->pins_.push_back(*pin);
  }
  error_code error;
  if (!options.ca_file.empty()) {
    context.load_verify_file(options.ca_file, error);
    if (error) {
      return bad_options("the CA file " + options.ca_file + " cannot be used: " + to_text(error));
    }
  } else if (options.pins.empty() && !options.insecure) {
    context.set_default_verify_paths(error);
    if (error) return bad_options("the system's root certificates: " + to_text(error));
  }
  return trust;
}

ClientTrust::VerifyCallback ClientTrust::prepare(ssl_st* connection, const std::string& host,
                                                 Verdict verdict) const {
  const bool address = IpAddress::parse(host).has_value();
  if (!address) {  // the macro for this casts in C's way
    ::SSL_ctrl(connection, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
               const_cast<char*>(host.c_str()));
  }
  ::SSL_set_verify(connection, insecure_ ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  expect_host(::SSL_get0_param(connection), host);
  return [pins = pins_, insecure = insecure_, host, verdict = std::move(verdict)](
             bool preverified, x509_store_ctx_st* store) {
    if (insecure) return true;
    const X509* leaf = ::X509_STORE_CTX_get0_cert(store);
    if (leaf == nullptr) return false;
    if (!pins.empty()) {
      const Pin presented = Pin::of(*leaf);
      if (std::ranges::find(pins, presented) != pins.end()) {
        ::X509_STORE_CTX_set_error(store, X509_V_OK);
        return true;
      }
      *verdict = pin_mismatch(presented, host);
      return false;
    }
    if (!preverified) {
      *verdict = judge(::X509_STORE_CTX_get_error(store), ::X509_STORE_CTX_get_current_cert(store),
                       *leaf, host);
    }
    return preverified;
  };
}

std::optional<TrustError> ClientTrust::judge_chain(std::span<const ByteView> chain,
                                                   const std::string& host) const {
  if (insecure_) return std::nullopt;
  const TrustError unreadable{TrustErrorKind::other,
                              "the certificate of " + host + " cannot be read"};
  const X509Ptr leaf = chain.empty() ? nullptr : read_der(chain.front());
  if (!leaf) return unreadable;
  if (!pins_.empty()) {
    const Pin presented = Pin::of(*leaf);
    if (std::ranges::find(pins_, presented) != pins_.end()) return std::nullopt;
    return pin_mismatch(presented, host);
  }
  STACK_OF(X509)* others = sk_X509_new_null();
  for (const ByteView der : chain.subspan(1)) {
    if (X509Ptr one = read_der(der)) sk_X509_push(others, one.release());
  }
  std::optional<TrustError> verdict;
  X509_STORE_CTX* store = ::X509_STORE_CTX_new();
  if (store == nullptr ||
      ::X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(context_->native_handle()), leaf.get(),
                            others) != 1) {
    verdict = unreadable;
  } else {
    ::X509_STORE_CTX_set_default(store, "ssl_server");
    expect_host(::X509_STORE_CTX_get0_param(store), host);
    if (::X509_verify_cert(store) != 1) {
      verdict = judge(::X509_STORE_CTX_get_error(store), ::X509_STORE_CTX_get_current_cert(store),
                      *leaf, host);
    }
  }
  ::X509_STORE_CTX_free(store);
  sk_X509_pop_free(others, ::X509_free);
  return verdict;
}

}  // namespace isthmus::net
