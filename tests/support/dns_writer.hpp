#pragma once
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "dns/records.hpp"

namespace isthmus::test {

/// Writes DNS responses (RFC 1035 §4) without compression.
class DnsWriter {
 public:
  explicit DnsWriter(const dns::Question& question, std::uint16_t id = 0x1234) : id_(id) {
    name(head_, question.name);
    static constexpr std::uint16_t kTypes[] = {1, 28, 33, 35};
    u16(head_, kTypes[static_cast<std::size_t>(question.type)]);
    u16(head_, 1);
  }

  unsigned code = 0;
  bool cut = false;

  DnsWriter& a(std::string_view owner, std::uint32_t ttl, std::uint32_t address) {
    Bytes data;
    u32(data, address);
    return record(owner, 1, ttl, data);
  }
  DnsWriter& cname(std::string_view owner, std::uint32_t ttl, std::string_view target) {
    Bytes data;
    name(data, target);
    return record(owner, 5, ttl, data);
  }
  DnsWriter& srv(std::string_view owner, std::uint32_t ttl, std::uint16_t priority,
                 std::uint16_t weight, std::uint16_t port, std::string_view target) {
    Bytes data;
    u16(data, priority);
    u16(data, weight);
    u16(data, port);
    name(data, target);
    return record(owner, 33, ttl, data);
  }
  DnsWriter& naptr(std::string_view owner, std::uint32_t ttl, std::uint16_t order,
                   std::uint16_t preference, std::string_view flags, std::string_view services,
                   std::string_view regexp, std::string_view replacement) {
    Bytes data;
    u16(data, order);
    u16(data, preference);
    for (std::string_view part : {flags, services, regexp}) text(data, part);
    name(data, replacement);
    return record(owner, 35, ttl, data);
  }
  /// Into the authority section.
  DnsWriter& soa(std::string_view owner, std::uint32_t ttl, std::uint32_t minimum) {
    Bytes data;
    name(data, "ns.example");
    name(data, "admin.example");
    for (std::uint32_t number : {1u, 2u, 3u, 4u, minimum}) u32(data, number);
    append(authority_, owner, 6, ttl, data);
    ++authorities_;
    return *this;
  }

  Bytes bytes() const {
    Bytes out;
    u16(out, id_);
    u16(out, static_cast<std::uint16_t>(0x8180u | code | (cut ? 0x0200u : 0u)));
    u16(out, 1);
    u16(out, answers_);
    u16(out, authorities_);
    u16(out, 0);
    for (const Bytes* part : {&head_, &answer_, &authority_}) {
      out.insert(out.end(), part->begin(), part->end());
    }
    return out;
  }

 private:
  static void u16(Bytes& out, unsigned value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8));
    out.push_back(static_cast<std::uint8_t>(value));
  }
  static void u32(Bytes& out, std::uint32_t value) {
    u16(out, value >> 16);
    u16(out, value & 0xFFFFu);
  }
  static void text(Bytes& out, std::string_view value) {
    out.push_back(static_cast<std::uint8_t>(value.size()));
    out.insert(out.end(), value.begin(), value.end());
  }
  static void name(Bytes& out, std::string_view value) {
    while (!value.empty()) {
      std::size_t dot = value.find('.');
      text(out, value.substr(0, dot));
      value = dot == std::string_view::npos ? std::string_view() : value.substr(dot + 1);
    }
    out.push_back(0);
  }
  static void append(Bytes& out, std::string_view owner, unsigned type, std::uint32_t ttl,
                     const Bytes& data) {
    name(out, owner);
    u16(out, type);
    u16(out, 1);
    u32(out, ttl);
    u16(out, static_cast<unsigned>(data.size()));
    out.insert(out.end(), data.begin(), data.end());
  }
  DnsWriter& record(std::string_view owner, unsigned type, std::uint32_t ttl, const Bytes& data) {
    append(answer_, owner, type, ttl, data);
    ++answers_;
    return *this;
  }

  std::uint16_t id_;
  Bytes head_, answer_, authority_;
  std::uint16_t answers_ = 0, authorities_ = 0;
};

}  // namespace isthmus::test
