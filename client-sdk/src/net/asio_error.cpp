#include "net/asio_error.hpp"

#include <openssl/err.h>

#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>

namespace isthmus::net {

std::string to_text(const boost::system::error_code& error) {
  if (error == boost::asio::error::eof) return "the other end closed the connection";
  if (error == boost::asio::ssl::error::stream_truncated) {
    return "the other end closed the connection without a TLS close";
  }
  if (error.category() == boost::asio::error::get_ssl_category()) {
    const char* reason =
        ::ERR_reason_error_string(static_cast<unsigned long>(static_cast<unsigned>(error.value())));
    if (reason != nullptr) return std::string("TLS: ") + reason;
  }
  return error.message();
}

}  // namespace isthmus::net
