#pragma once
#include <boost/system/error_code.hpp>
#include <string>

namespace isthmus::net {

/// A socket's, resolver's or TLS error in words fit for a person: without OpenSSL's file names and
/// numbers, with errno's own text ("Connection refused").
std::string to_text(const boost::system::error_code& error);

}  // namespace isthmus::net
