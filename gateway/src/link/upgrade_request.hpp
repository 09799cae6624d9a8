#pragma once
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>

namespace isthmus::link {

using UpgradeRequest = boost::beast::http::request<boost::beast::http::empty_body>;
using TextResponse = boost::beast::http::response<boost::beast::http::string_body>;

/// Judges the HTTP request with which a connection begins.
/// @return what to answer in place of an upgrade to a link, or nothing for a WebSocket request for
///         /isthmus/v1 that offers subprotocol isthmus.v1 (RFC 6455 §4.2.1)
std::optional<TextResponse> refuse_upgrade(const UpgradeRequest& request);

}  // namespace isthmus::link
