// The certificate that a gateway makes for itself when nobody gives it one.
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "link/certificate.hpp"

namespace isthmus::link {

namespace {

constexpr int kLifeDays = 825;  // what browsers and phones take at most from a private authority
constexpr auto kRenewBefore = std::chrono::hours(24 * 30);
constexpr std::size_t kNames = 64;

struct FreeBio {
  void operator()(BIO* bio) const { ::BIO_free_all(bio); }
};
using BioPtr = std::unique_ptr<BIO, FreeBio>;

CertificateError openssl_failed(const std::string& step) {
  const char* text = ::ERR_reason_error_string(::ERR_peek_last_error());
  ::ERR_clear_error();
  return {"making the self-signed certificate, " + step + ": " +
          (text == nullptr ? "unknown error" : text)};
}

bool is_dns_name(std::string_view name) {
  if (name.starts_with("*.")) name.remove_prefix(2);
  return !name.empty() && name.size() <= 253 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
}

/// The configured names first, then the host's own; the first one is the common name.
Result<std::vector<std::string>, CertificateError> all_names(
    const std::vector<std::string>& configured) {
  std::vector<std::string> names;
  const auto add = [&names](std::string_view name) {
    if (std::ranges::find(names, name) == names.end()) names.emplace_back(name);
  };
  for (const std::string& name : configured) {
    if (!IpAddress::parse(name) && !is_dns_name(name)) {
      return CertificateError{"\"" + name + "\" cannot be a name in a certificate"};
    }
    add(name);
  }
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) == 0 && is_dns_name(host)) add(host);
  for (const char* name : {"localhost", "127.0.0.1", "::1"}) add(name);
  if (names.size() > kNames) {
    return CertificateError{"a certificate takes " + std::to_string(kNames) + " names at most"};
  }
  return names;
}

bool covers(X509* certificate, const std::string& name) {
  if (IpAddress::parse(name)) return ::X509_check_ip_asc(certificate, name.c_str(), 0) == 1;
  return ::X509_check_host(certificate, name.c_str(), name.size(), 0, nullptr) == 1;
}

/// Written whole or not at all, never readable by others: a temporary file, then rename().
std::optional<CertificateError> write_file(const std::string& path, BIO* pem) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(pem, &data);
  const std::string temporary = path + ".new";
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                          S_IRUSR | S_IWUSR);
  bool good = file >= 0 && ::fchmod(file, S_IRUSR | S_IWUSR) == 0;
  for (long written = 0; good && written < length;) {
    const ssize_t part = ::write(file, data + written, static_cast<std::size_t>(length - written));
    good = part > 0;
    written += part;
  }
  good = good && ::fsync(file) == 0;
  const int error = errno;
  if (file >= 0) ::close(file);
  if (good && ::rename(temporary.c_str(), path.c_str()) == 0) return std::nullopt;
  return CertificateError{path + " cannot be written: " + std::strerror(good ? errno : error)};
}

bool add_extension(X509* certificate, X509V3_CTX* context, int id, const std::string& value) {
  X509_EXTENSION* extension = ::X509V3_EXT_conf_nid(nullptr, context, id, value.c_str());
  if (extension == nullptr) return false;
  const bool good = ::X509_add_ext(certificate, extension, -1) == 1;
  ::X509_EXTENSION_free(extension);
  return good;
}

bool set_serial(X509* certificate) {
  std::array<std::uint8_t, 16> serial{};
  if (::RAND_bytes(serial.data(), static_cast<int>(serial.size())) != 1) return false;
  serial[0] &= 0x7f;  // positive (RFC 5280 §4.1.2.2)
  serial[0] |= 0x40;
  BIGNUM* number = ::BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr);
  const bool good = number != nullptr &&
                    ::BN_to_ASN1_INTEGER(number, ::X509_get_serialNumber(certificate)) != nullptr;
  ::BN_free(number);
  return good;
}

bool set_names_and_use(X509* certificate, const std::vector<std::string>& names) {
  X509_NAME* subject = ::X509_get_subject_name(certificate);
  const std::string common = names.front().substr(0, 64);  // RFC 5280 appendix A: ub-common-name
  if (::X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, as_bytes(common).data(),
                                   static_cast<int>(common.size()), -1, 0) != 1 ||
      ::X509_set_issuer_name(certificate, subject) != 1) {
    return false;
  }
  std::string alternatives;
  for (const std::string& name : names) {
    if (!alternatives.empty()) alternatives += ',';
    alternatives += (IpAddress::parse(name) ? "IP:" : "DNS:") + name;
  }
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  ::X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  return add_extension(certificate, &context, NID_subject_alt_name, alternatives) &&
         add_extension(certificate, &context, NID_basic_constraints, "critical,CA:FALSE") &&
         add_extension(certificate, &context, NID_key_usage, "critical,digitalSignature") &&
         add_extension(certificate, &context, NID_ext_key_usage, "serverAuth") &&
         add_extension(certificate, &context, NID_subject_key_identifier, "hash");
}

Result<CertificatePtr, CertificateError> sign(evp_pkey_st* key,
                                              const std::vector<std::string>& names,
                                              WallSeconds now) {
  CertificatePtr certificate(::X509_new());
  std::time_t base = std::chrono::system_clock::to_time_t(now);
  if (!certificate || ::X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !set_serial(certificate.get())) {
    return openssl_failed("its number");
  }
  // A day back, for clients whose clock is behind.
  if (::X509_time_adj_ex(X509_getm_notBefore(certificate.get()), -1, 0, &base) == nullptr ||
      ::X509_time_adj_ex(X509_getm_notAfter(certificate.get()), kLifeDays - 1, 0, &base) ==
          nullptr) {
    return openssl_failed("its dates");
  }
  if (!set_names_and_use(certificate.get(), names)) return openssl_failed("its names");
  if (::X509_set_pubkey(certificate.get(), key) != 1 ||
      ::X509_sign(certificate.get(), key, ::EVP_sha256()) == 0) {
    return openssl_failed("its signature");
  }
  return certificate;
}

std::optional<CertificateError> make_directory(const std::string& directory) {
  std::error_code error;
  if (std::filesystem::is_directory(directory, error)) return std::nullopt;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return CertificateError{"the directory " + directory + " cannot be made: " + error.message()};
  }
  std::filesystem::permissions(directory, std::filesystem::perms::owner_all, error);
  return std::nullopt;
}

/// The key on disk, or a new one, written.
Result<KeyPtr, CertificateError> get_key(const std::string& path) {
  if (const BioPtr file(::BIO_new_file(path.c_str(), "r")); file) {
    KeyPtr key(::PEM_read_bio_PrivateKey(file.get(), nullptr, nullptr, nullptr));
    // Overwriting an operator's file because it cannot be understood would lose a key.
    if (!key) return CertificateError{path + " holds no private key; remove it to have one made"};
    return key;
  }
  ::ERR_clear_error();
  if (std::error_code error; std::filesystem::exists(path, error) || error) {
    return CertificateError{"the key " + path + " cannot be opened"};
  }
  KeyPtr key(::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  const BioPtr pem(::BIO_new(::BIO_s_mem()));
  if (!key || !pem ||
      ::PEM_write_bio_PKCS8PrivateKey(pem.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                      nullptr) != 1) {
    return openssl_failed("its key");
  }
  if (auto error = write_file(path, pem.get())) return *error;
  return key;
}

}  // namespace

Result<Certificate, CertificateError> load_or_make_self_signed(
    const std::string& directory, const std::vector<std::string>& configured, WallSeconds now) {
  const std::string chain_file = directory + "/gateway-cert.pem";
  const std::string key_file = directory + "/gateway-key.pem";
  auto names = all_names(configured);
  if (!names) return names.error();
  if (auto error = make_directory(directory)) return *error;

  std::error_code ignored;
  if (std::filesystem::exists(chain_file, ignored) && std::filesystem::exists(key_file, ignored)) {
    auto present = load_certificate(chain_file, key_file, now);
    if (present && present->not_after > now + kRenewBefore) {
      X509* own = present->chain.front().get();
      if (std::ranges::all_of(*names, [own](const auto& name) { return covers(own, name); })) {
        present->self_signed = true;
        return present;
      }
    }
  }

  auto key = get_key(key_file);
  if (!key) return key.error();
  auto made = sign(key->get(), *names, now);
  if (!made) return made.error();
  const BioPtr pem(::BIO_new(::BIO_s_mem()));
  if (!pem || ::PEM_write_bio_X509(pem.get(), made->get()) != 1) return openssl_failed("its file");
  if (auto error = write_file(chain_file, pem.get())) return *error;
  auto certificate = load_certificate(chain_file, key_file, now);
  if (!certificate) return certificate.error();
  certificate->self_signed = true;
  certificate->made_now = true;
  return certificate;
}

}  // namespace isthmus::link
