#include "provider/account_registrar.hpp"

#include "base/text.hpp"

namespace isthmus::provider {

using sip::HeaderId;

sip::Message AccountRegistrar::on_register(const sip::Message& request, const sip::Flow& flow,
                                           Instant now) {
  Result<sip::NameAddr, sip::Fault> to = request.to();
  Result<sip::Uri, sip::Fault> aor = sip::Uri::parse(to ? to->uri : std::string());
  std::string provider = aor && !iequals(aor->host, domain_) ? provider_of_(aor->host) : "";
  if (provider.empty()) return registrar_.on_register(request, flow, now);
  const UpstreamAccount* account = accounts_.find(provider, aor->decoded_user());
  if (!account) {
    return sip::Message::response_to(request, 404, "No account of that name at this provider",
                                     random_.token(12));
  }
  // The registrar keeps addresses of one domain: ours. A trunk's numbers are our users' names.
  sip::Uri local = *aor;
  local.host = domain_;
  local.port = 0;
  local.params = {};
  if (!account->trunk()) local.user = account->aor;
  sip::Message inner = request;
  sip::NameAddr inner_to = *to;
  inner_to.uri = local.to_string();
  inner.set(HeaderId::to, inner_to.to_string());
  inner.set_request_uri("sip:" + domain_);
  sip::Message response = registrar_.on_register(inner, flow, now);
  sip::NameAddr outer_to = *to;
  if (std::string tag = response.to_tag(); !tag.empty()) outer_to.params.set("tag", tag);
  response.set(HeaderId::to, outer_to.to_string());
  return response;
}

}  // namespace isthmus::provider
