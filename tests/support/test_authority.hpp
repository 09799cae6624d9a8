#pragma once
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <string>

namespace isthmus::test {

/// A certificate authority of one test, and certificates that it issues, as PEM files.
class Authority {
 public:
  struct Files {
    std::string certificate, key;
  };

  Authority(std::string directory, const std::string& name)
      : directory_(std::move(directory)), name_(name), key_(::EVP_EC_gen("P-256")) {
    certificate_ = make(name, key_.get(), 1000, "", true);
    write(ca_file(), certificate_.get(), nullptr);
  }

  std::string ca_file() const { return directory_ + "/" + name_ + "-ca.pem"; }

  /// @param alternative  subjectAltName as OpenSSL writes it: "DNS:a.example,URI:sip:b.example";
  /// empty: none
  Files issue(const std::string& name, const std::string& alternative, long days = 30) {
    const Key key(::EVP_EC_gen("P-256"));
    const Certificate certificate = make(name, key.get(), days, alternative, false);
    const std::string base = directory_ + "/" + name_ + "-" + name + "-" + std::to_string(serial_);
    const Files files{base + ".pem", base + ".key"};
    write(files.certificate, certificate.get(), nullptr);
    write(files.key, nullptr, key.get());
    return files;
  }

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const { ::EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { ::X509_free(certificate); }
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using Key = std::unique_ptr<EVP_PKEY, Free>;
  using Certificate = std::unique_ptr<X509, Free>;

  Certificate make(const std::string& name, EVP_PKEY* key, long days,
                   const std::string& alternative, bool authority) {
    Certificate certificate(::X509_new());
    X509* raw = certificate.get();
    ::X509_set_version(raw, 2);
    ::ASN1_INTEGER_set(::X509_get_serialNumber(raw), ++serial_);
    ::X509_gmtime_adj(::X509_getm_notBefore(raw), -400L * 86400);
    ::X509_gmtime_adj(::X509_getm_notAfter(raw), days * 86400);
    ::X509_set_pubkey(raw, key);
    ::X509_NAME_add_entry_by_txt(::X509_get_subject_name(raw), "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    ::X509_set_issuer_name(raw, ::X509_get_subject_name(authority ? raw : certificate_.get()));
    X509V3_CTX context{};
    X509V3_set_ctx(&context, authority ? raw : certificate_.get(), raw, nullptr, nullptr, 0);
    extend(raw, context, NID_basic_constraints, authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!alternative.empty()) extend(raw, context, NID_subject_alt_name, alternative);
    ::X509_sign(raw, key_.get(), ::EVP_sha256());
    return certificate;
  }

  static void extend(X509* certificate, X509V3_CTX& context, int id, const std::string& value) {
    X509_EXTENSION* extension = ::X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
    ::X509_add_ext(certificate, extension, -1);
    ::X509_EXTENSION_free(extension);
  }

  static void write(const std::string& path, X509* certificate, EVP_PKEY* key) {
    const std::unique_ptr<std::FILE, Free> file(std::fopen(path.c_str(), "we"));
    if (!file) std::abort();
    if (certificate) ::PEM_write_X509(file.get(), certificate);
    if (key) ::PEM_write_PrivateKey(file.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  }

  std::string directory_, name_;
  Key key_;
  Certificate certificate_;
  long serial_ = 0;
};

}  // namespace isthmus::test
