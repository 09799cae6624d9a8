#include "link/certificate.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <utility>

#include "net/trust.hpp"

namespace isthmus::link {

namespace {

constexpr std::size_t kChainCertificates = 16;  // public chains have two to four
constexpr auto kSoon = std::chrono::hours(24 * 14);

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

std::string reason_of_openssl() {
  const unsigned long code = ::ERR_peek_last_error();
  const char* text = code == 0 ? nullptr : ::ERR_reason_error_string(code);
  ::ERR_clear_error();
  return text == nullptr ? "unknown error" : text;
}

std::string date_of(WallSeconds time) {
  const std::time_t raw = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  char text[32] = {};
  ::gmtime_r(&raw, &parts);
  std::strftime(text, sizeof text, "%Y-%m-%d", &parts);
  return text;
}

WallSeconds time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (::ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return std::chrono::time_point_cast<std::chrono::seconds>(
      std::chrono::system_clock::from_time_t(::timegm(&parts)));
}

Result<std::vector<CertificatePtr>, CertificateError> read_chain(const std::string& path) {
  const File file(std::fopen(path.c_str(), "re"));
  if (!file) {
    return CertificateError{"the certificate " + path +
                            " cannot be opened: " + std::strerror(errno)};
  }
  std::vector<CertificatePtr> chain;
  while (chain.size() < kChainCertificates) {
    CertificatePtr next(::PEM_read_X509(file.get(), nullptr, nullptr, nullptr));
    if (!next) break;
    chain.push_back(std::move(next));
  }
  const bool only_ended = ERR_GET_REASON(::ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (chain.empty() && only_ended) {
    ::ERR_clear_error();
    return CertificateError{path + " holds no certificate in PEM form"};
  }
  if (!only_ended && chain.size() < kChainCertificates) {
    return CertificateError{"certificate " + std::to_string(chain.size() + 1) + " of " + path +
                            " cannot be read: " + reason_of_openssl()};
  }
  ::ERR_clear_error();
  return chain;
}

/// A password prompt on a server's terminal would hang it.
int no_password(char*, int, int, void*) {
  return -1;
}

Result<KeyPtr, CertificateError> read_key(const std::string& path) {
  const File file(std::fopen(path.c_str(), "re"));
  if (!file) {
    return CertificateError{"the key " + path + " cannot be opened: " + std::strerror(errno)};
  }
  KeyPtr key(::PEM_read_PrivateKey(file.get(), nullptr, &no_password, nullptr));
  if (!key) {
    return CertificateError{path + " holds no private key that can be read (PEM, not encrypted): " +
                            reason_of_openssl()};
  }
  return key;
}

void note_warnings(Certificate& certificate, const std::string& chain_file,
                   const std::string& key_file, WallSeconds now) {
  if (certificate.not_after <= now) {
    certificate.warnings.push_back("the certificate " + chain_file + " expired on " +
                                   date_of(certificate.not_after) + "; clients will refuse it");
  } else if (certificate.not_after <= now + kSoon) {
    certificate.warnings.push_back("the certificate " + chain_file + " expires on " +
                                   date_of(certificate.not_after));
  }
  struct ::stat status {};
  if (::stat(key_file.c_str(), &status) == 0 && (status.st_mode & S_IROTH) != 0) {
    certificate.warnings.push_back("every user of this machine can read the key " + key_file);
  }
}

}  // namespace

void FreeCertificate::operator()(x509_st* certificate) const {
  ::X509_free(certificate);
}
void FreeKey::operator()(evp_pkey_st* key) const {
  ::EVP_PKEY_free(key);
}

Result<Certificate, CertificateError> load_certificate(const std::string& chain_file,
                                                       const std::string& key_file,
                                                       WallSeconds now) {
  ::ERR_clear_error();
  auto chain = read_chain(chain_file);
  if (!chain) return chain.error();
  auto key = read_key(key_file);
  if (!key) return key.error();
  Certificate certificate;
  certificate.chain = std::move(*chain);
  certificate.key = std::move(*key);
  const X509* own = certificate.chain.front().get();
  if (::X509_check_private_key(own, certificate.key.get()) != 1) {
    ::ERR_clear_error();
    return CertificateError{"the key " + key_file + " does not belong to the certificate " +
                            chain_file + " (the gateway's own certificate must come first)"};
  }
  certificate.pin = net::Pin::of(*own).to_string();
  certificate.not_after = time_of(::X509_get0_notAfter(own));
  note_warnings(certificate, chain_file, key_file, now);
  return certificate;
}

Result<Certificate, CertificateError> get_certificate(const CertificateOptions& options,
                                                      WallSeconds now) {
  if (options.chain_file.empty() != options.key_file.empty()) {
    return CertificateError{"a certificate needs both its chain file and its key file; only " +
                            (options.chain_file.empty() ? options.key_file : options.chain_file) +
                            " is set"};
  }
  if (!options.chain_file.empty()) {
    return load_certificate(options.chain_file, options.key_file, now);
  }
  if (options.state_directory.empty()) {
    return CertificateError{
        "neither a certificate nor a directory to keep a self-signed one in is set"};
  }
  return load_or_make_self_signed(options.state_directory, options.names, now);
}

namespace {

template <typename Write>
std::string to_pem(Write write) {
  std::string text;
  BIO* memory = ::BIO_new(::BIO_s_mem());
  if (memory == nullptr) return text;
  write(memory);
  char* bytes = nullptr;
  const auto length = BIO_get_mem_data(memory, &bytes);
  if (bytes != nullptr && length > 0) text.assign(bytes, static_cast<std::size_t>(length));
  ::BIO_free_all(memory);
  return text;
}

}  // namespace

std::string chain_pem(const Certificate& certificate) {
  return to_pem([&certificate](BIO* out) {
    for (const CertificatePtr& one : certificate.chain) ::PEM_write_bio_X509(out, one.get());
  });
}

std::string key_pem(const Certificate& certificate) {
  return to_pem([&certificate](BIO* out) {
    ::PEM_write_bio_PrivateKey(out, certificate.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

}  // namespace isthmus::link
