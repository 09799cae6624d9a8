#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

struct x509_st;
struct evp_pkey_st;

namespace isthmus::link {

/// Where the gateway's certificate comes from: a chain and key that an operator provides, or one
/// that the gateway signs itself.
struct CertificateOptions {
  std::string chain_file;  ///< PEM, the gateway's own certificate first; empty: self-signed
  std::string key_file;    ///< PEM, not encrypted
  /// Self-signed: where key and certificate are kept (made, 0700, if it is missing), and what names
  /// and addresses to put in besides the host's name, localhost, 127.0.0.1 and ::1.
  std::string state_directory;
  std::vector<std::string> names;
};

struct CertificateError {
  std::string text;  ///< names the file and what is wrong with it
};

struct FreeCertificate {
  void operator()(x509_st* certificate) const;
};
struct FreeKey {
  void operator()(evp_pkey_st* key) const;
};
using CertificatePtr = std::unique_ptr<x509_st, FreeCertificate>;
using KeyPtr = std::unique_ptr<evp_pkey_st, FreeKey>;

/// A private key and the certificates to present with it, the gateway's own first.
struct Certificate {
  std::vector<CertificatePtr> chain;
  KeyPtr key;
  std::string pin;  ///< "sha256//…" of the key: what clients may be told to trust
  bool self_signed = false;
  bool made_now = false;  ///< self-signed, and written in this call
  WallSeconds not_after{};
  std::vector<std::string> warnings;  ///< expired, about to expire, key readable by others
};

/// Loads what the options name, or loads or makes the self-signed one.
/// @param now  wall clock, for warnings and for renewal
Result<Certificate, CertificateError> get_certificate(const CertificateOptions& options,
                                                      WallSeconds now);

/// Reads a PEM chain and its key. An expired certificate is a warning, because calls that stop are
/// worse than calls that clients warn about; a key that does not belong to it is an error.
Result<Certificate, CertificateError> load_certificate(const std::string& chain_file,
                                                       const std::string& key_file,
                                                       WallSeconds now);

/// The certificate in the directory (gateway-cert.pem, gateway-key.pem), made if there is none:
/// ECDSA P-256, 825 days. It is renewed when it has 30 days left or lacks a name; the key, and so
/// the pin, stays.
Result<Certificate, CertificateError> load_or_make_self_signed(
    const std::string& directory, const std::vector<std::string>& names, WallSeconds now);

/// The chain, and the key, as PEM: what TLS libraries other than OpenSSL take.
std::string chain_pem(const Certificate& certificate);
std::string key_pem(const Certificate& certificate);

}  // namespace isthmus::link
