#pragma once
#include <functional>
#include <optional>
#include <string>

#include "call/bridge.hpp"

namespace isthmus::app {

/// Passes REGISTERs on, and says whose succeeded: requests may wait for a device of that user.
class RegisterNotifier final : public call::RegisterHandler {
 public:
  /// @param registered  is called from within the bridge, which must not be called back then
  RegisterNotifier(call::RegisterHandler& registrar,
                   std::function<void(const std::string& user)> registered)
      : registrar_(registrar), registered_(std::move(registered)) {}

  sip::Message on_register(const sip::Message& request, const sip::Flow& flow,
                           Instant now) override {
    sip::Message response = registrar_.on_register(request, flow, now);
    if (response.status() >= 300) return response;
    auto to = request.to();
    auto uri = to ? sip::Uri::parse(to->uri) : sip::Uri::parse("");
    if (uri) registered_(uri->decoded_user());
    return response;
  }
  std::optional<sip::Message> challenge(sip::Message& request, const sip::Flow& flow,
                                        Instant now) override {
    return registrar_.challenge(request, flow, now);
  }

 private:
  call::RegisterHandler& registrar_;
  std::function<void(const std::string& user)> registered_;
};

}  // namespace isthmus::app
