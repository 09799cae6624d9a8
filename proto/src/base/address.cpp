#include "base/address.hpp"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>
#include <iterator>

#include "base/text.hpp"

namespace isthmus {

IpAddress IpAddress::v4(std::uint32_t host_order) {
  IpAddress out;
  for (unsigned i = 0; i < 4; ++i) {
    out.bytes_[i] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
  }
  return out;
}

IpAddress IpAddress::v6(const std::array<std::uint8_t, 16>& bytes) {
  IpAddress out;
  out.v4_ = false;
  out.bytes_ = bytes;
  return out;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
    if (text.find(':') == std::string_view::npos) return std::nullopt;
  }
  char zero_terminated[64];
  if (text.empty() || text.size() >= sizeof zero_terminated) return std::nullopt;
  std::memcpy(zero_terminated, text.data(), text.size());
  zero_terminated[text.size()] = 0;
  IpAddress out;
  if (inet_pton(AF_INET, zero_terminated, out.bytes_.data()) == 1) return out;
  out.v4_ = false;
  if (inet_pton(AF_INET6, zero_terminated, out.bytes_.data()) == 1) return out;
  return std::nullopt;
}

bool IpAddress::is_unspecified() const {
  for (std::uint8_t byte : bytes_) {
    if (byte != 0) return false;
  }
  return true;
}

bool IpAddress::is_loopback() const {
  if (v4_) return bytes_[0] == 127;
  for (std::size_t i = 0; i < 15; ++i) {
    if (bytes_[i] != 0) return false;
  }
  return bytes_[15] == 1;
}

std::uint32_t IpAddress::v4_host_order() const {
  return static_cast<std::uint32_t>(bytes_[0]) << 24 | static_cast<std::uint32_t>(bytes_[1]) << 16 |
         static_cast<std::uint32_t>(bytes_[2]) << 8 | bytes_[3];
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (!v4_) return inet_ntop(AF_INET6, bytes_.data(), text, sizeof text);
  // By hand: inet_ntop() prints with sprintf(), and SIP writes an address into each message.
  char* end = text;
  for (unsigned i = 0; i < 4; ++i) {
    if (i > 0) *end++ = '.';
    end = std::to_chars(end, std::end(text), static_cast<unsigned>(bytes_[i])).ptr;
  }
  return {text, end};
}

std::string IpAddress::to_uri_host() const {
  return v4_ ? to_string() : "[" + to_string() + "]";
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  std::string_view digits = text.substr(colon + 1);
  if (host.find(':') != std::string_view::npos && host.front() != '[') return std::nullopt;
  std::optional<IpAddress> address = IpAddress::parse(host);
  std::optional<std::uint16_t> port = parse_number<std::uint16_t>(digits);
  if (!address || !port) return std::nullopt;
  return Endpoint{*address, *port};
}

std::string Endpoint::to_string() const {
  return address.to_uri_host() + ":" + std::to_string(port);
}

std::size_t EndpointHash::operator()(const Endpoint& endpoint) const {
  std::uint64_t hash = endpoint.port + 0x9e3779b97f4a7c15u;
  for (std::uint8_t byte : endpoint.address.bytes()) hash = (hash ^ byte) * 0x100000001b3u;
  return static_cast<std::size_t>(hash);
}

}  // namespace isthmus
