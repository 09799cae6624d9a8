#include "transport/tls_identity.hpp"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/text.hpp"

namespace isthmus::transport {
namespace {

constexpr std::size_t kShownNames = 8, kShownBytes = 200;

struct Names {
  std::vector<std::string> sip_domains, dns;
  std::vector<IpAddress> addresses;
  bool any = false;  ///< there is a list of alternative names
};

std::string text_of(const ASN1_STRING* string) {
  const auto length = static_cast<std::size_t>(::ASN1_STRING_length(string));
  return std::string(as_text({::ASN1_STRING_get0_data(string), length}));
}

std::optional<IpAddress> address_of(const ASN1_STRING* string) {
  const std::string bytes = text_of(string);
  Reader reader(as_bytes(bytes));
  if (bytes.size() == 4) return IpAddress::v4(reader.u32());
  if (bytes.size() != 16) return std::nullopt;
  std::array<std::uint8_t, 16> v6{};
  std::copy(bytes.begin(), bytes.end(), v6.begin());
  return IpAddress::v6(v6);
}

/// RFC 5922 §7.1: of URIs only those of scheme sip without a user part name a domain.
void add_uri(Names& names, const std::string& uri) {
  if (!iequals(std::string_view(uri).substr(0, 4), "sip:")) return;
  const std::string domain = uri.substr(4);
  if (domain.find_first_of("@;?:") == std::string::npos) names.sip_domains.push_back(domain);
}

Names names_of(const X509& certificate) {
  Names names;
  auto* list = static_cast<GENERAL_NAMES*>(
      ::X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr));
  if (list == nullptr) return names;
  names.any = true;
  for (int i = 0; i < sk_GENERAL_NAME_num(list); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(list, i);
    if (name->type == GEN_URI) add_uri(names, text_of(name->d.uniformResourceIdentifier));
    if (name->type == GEN_DNS) names.dns.push_back(text_of(name->d.dNSName));
    if (name->type == GEN_IPADD) {
      if (auto address = address_of(name->d.iPAddress)) names.addresses.push_back(*address);
    }
  }
  ::GENERAL_NAMES_free(list);
  return names;
}

std::string common_name_of(const X509& certificate) {
  const X509_NAME* subject = ::X509_get_subject_name(&certificate);
  const int index = ::X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (index < 0) return {};
  return text_of(::X509_NAME_ENTRY_get_data(::X509_NAME_get_entry(subject, index)));
}

bool matches(std::string_view name, std::string_view domain, bool wildcards) {
  if (iequals(name, domain)) return true;
  if (!wildcards || !name.starts_with("*.")) return false;
  const std::size_t dot = domain.find('.');
  // "*.com" would stand for every company.
  if (dot == std::string_view::npos || name.find('.', 2) == std::string_view::npos) return false;
  return iequals(name.substr(1), domain.substr(dot));
}

}  // namespace

bool is_identity_of(const x509_st& certificate, std::string_view domain, bool wildcards) {
  if (domain.empty()) return false;
  const Names names = names_of(certificate);
  if (const auto address = IpAddress::parse(domain)) {
    return std::find(names.addresses.begin(), names.addresses.end(), *address) !=
           names.addresses.end();
  }
  const auto any_of = [&](const std::vector<std::string>& list) {
    return std::any_of(list.begin(), list.end(),
                       [&](const std::string& name) { return matches(name, domain, wildcards); });
  };
  if (!names.sip_domains.empty()) return any_of(names.sip_domains);
  if (names.any) return any_of(names.dns);
  return matches(common_name_of(certificate), domain, wildcards);
}

std::string identities_of(const x509_st& certificate) {
  const Names names = names_of(certificate);
  std::vector<std::string> all = names.sip_domains;
  all.insert(all.end(), names.dns.begin(), names.dns.end());
  for (const IpAddress& address : names.addresses) all.push_back(address.to_string());
  if (!names.any) all.push_back(common_name_of(certificate));
  std::string text;
  for (std::size_t i = 0; i < std::min(all.size(), kShownNames); ++i) {
    text += (i == 0 ? "" : ", ") + all[i].substr(0, kShownBytes);
  }
  // Names in a certificate are a stranger's.
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text.empty() ? "no name" : text;
}

}  // namespace isthmus::transport
