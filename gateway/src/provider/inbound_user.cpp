#include "provider/inbound_user.hpp"

namespace isthmus::provider {
namespace {

std::string user_of(std::string_view uri_text) {
  Result<sip::Uri, sip::Fault> uri = sip::Uri::parse(uri_text);
  if (!uri) return {};
  if (uri->is_sip()) return uri->decoded_user();
  // tel:+4930123;ext=7 (RFC 3966)
  return uri->scheme == "tel" ? uri->opaque.substr(0, uri->opaque.find(';')) : std::string();
}

std::string user_at(const sip::Message& request, InboundUser place) {
  if (place == InboundUser::request_uri) return user_of(request.request_uri());
  Result<sip::NameAddr, sip::Fault> address =
      place == InboundUser::to
          ? request.to()
          : sip::NameAddr::parse(request.get("P-Called-Party-ID").value_or(""));
  return address ? user_of(address->uri) : std::string();
}

}  // namespace

std::string inbound_user(const sip::Message& request, InboundUser option,
                         std::string_view contact_user) {
  for (InboundUser place : {option, InboundUser::p_called_party_id, InboundUser::to}) {
    std::string user = user_at(request, place);
    if (!user.empty() && user != contact_user) return user;
  }
  return user_at(request, InboundUser::request_uri);
}

}  // namespace isthmus::provider
