#include "link/upgrade_request.hpp"

#include <boost/beast/http/field.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/verb.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <string>
#include <string_view>

#include "net/websocket_stream.hpp"

namespace isthmus::link {

namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;

namespace {

TextResponse answer(http::status status, std::string text) {
  TextResponse response(status, 11);
  response.set(http::field::content_type, "text/plain; charset=utf-8");
  response.set(http::field::cache_control, "no-store");
  response.body() = std::move(text);
  response.keep_alive(false);
  response.prepare_payload();
  return response;
}

bool offers_subprotocol(const UpgradeRequest& request) {
  const auto [first, last] = request.equal_range(http::field::sec_websocket_protocol);
  for (auto field = first; field != last; ++field) {
    if (http::token_list(field->value()).exists(net::kLinkSubprotocol)) return true;
  }
  return false;
}

}  // namespace

std::optional<TextResponse> refuse_upgrade(const UpgradeRequest& request) {
  if (request.method() != http::verb::get) {
    auto response = answer(http::status::method_not_allowed, "Only GET is served here.\n");
    response.set(http::field::allow, "GET");
    return response;
  }
  const std::string_view target(request.target().data(), request.target().size());
  const std::string_view path = target.substr(0, target.find('?'));
  if (path == "/") {
    return answer(http::status::ok,
                  "This is an Isthmus gateway. Clients connect to wss://<this host>" +
                      std::string(net::kLinkPath) + " with subprotocol " +
                      std::string(net::kLinkSubprotocol) + ".\n");
  }
  if (path != net::kLinkPath) {
    return answer(http::status::not_found,
                  "Nothing is here; the link is at " + std::string(net::kLinkPath) + ".\n");
  }
  if (!websocket::is_upgrade(request)) {
    auto response = answer(http::status::upgrade_required, "This path is a WebSocket's.\n");
    response.set(http::field::connection, "Upgrade, close");
    response.set(http::field::upgrade, "websocket");
    return response;
  }
  if (!offers_subprotocol(request)) {
    return answer(http::status::bad_request, "Sec-WebSocket-Protocol must offer " +
                                                 std::string(net::kLinkSubprotocol) + ".\n");
  }
  return std::nullopt;
}

}  // namespace isthmus::link
