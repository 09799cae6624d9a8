#include "dns/message.hpp"

#include <algorithm>
#include <optional>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace isthmus::dns {

namespace {

constexpr std::uint16_t kTypeA = 1, kTypeCname = 5, kTypeSoa = 6, kTypeAaaa = 28, kTypeSrv = 33,
                        kTypeNaptr = 35, kClassInternet = 1;
constexpr unsigned kNameError = 3;        // RFC 1035 §4.1.1: NXDOMAIN
constexpr std::size_t kNameBytes = 253;   // RFC 1035 §2.3.4, as text
constexpr int kMostPointers = 16;         // of one name; compressors write one or two
constexpr seconds kUnstatedNegative{30};  // life of "none" without an SOA record (RFC 2308 §5)

std::uint16_t number_of(Type type) {
  switch (type) {
    case Type::a:
      return kTypeA;
    case Type::aaaa:
      return kTypeAaaa;
    case Type::srv:
      return kTypeSrv;
    case Type::naptr:
      break;
  }
  return kTypeNaptr;
}

/// Reads on, and is at fault for good once it came to the end too early.
class DnsReader {
 public:
  DnsReader(ByteView message, std::size_t begin, std::size_t end)
      : message_(message), at_(begin), end_(end) {}

  bool sound() const { return sound_; }
  std::size_t at() const { return at_; }

  std::uint8_t u8() {
    if (!take(1)) return 0;
    return static_cast<std::uint8_t>(message_[at_ - 1]);
  }
  std::uint16_t u16() {
    unsigned high = u8();
    return static_cast<std::uint16_t>(high << 8 | u8());
  }
  std::uint32_t u32() {
    std::uint32_t high = u16();
    return high << 16 | u16();
  }
  void skip(std::size_t count) { take(count); }
  /// A character-string (RFC 1035 §3.3).
  std::string text() {
    std::size_t length = u8();
    std::size_t begin = at_;
    if (!take(length)) return {};
    std::string out;
    for (std::size_t i = begin; i < at_; ++i) out += static_cast<char>(message_[i]);
    return out;
  }
  /// A domain name, lower case, without a dot at its end. Pointers may lead back only, so that it
  /// ends. A dot or a character that no host name holds within a label stands as '?', which matches
  /// nothing and is no host name.
  std::string name() {
    std::string out;
    std::size_t at = at_;
    int pointers = 0;
    while (sound_) {
      std::optional<unsigned> length = byte_at(at, pointers > 0);
      if (!length) break;
      if (*length >= 0xC0) {
        std::optional<unsigned> low = byte_at(at + 1, pointers > 0);
        std::size_t to = low ? (*length & 0x3Fu) << 8 | *low : at;
        if (!low || to >= at || ++pointers > kMostPointers) break;
        if (pointers == 1) at_ = at + 2;
        at = to;
        continue;
      }
      if (*length > 63) break;  // RFC 6891 §5: no other kinds of labels are in use
      ++at;
      if (*length == 0) {
        if (pointers == 0) at_ = at;
        return out;
      }
      if (!out.empty()) out += '.';
      for (unsigned i = 0; i < *length; ++i, ++at) {
        std::optional<unsigned> c = byte_at(at, pointers > 0);
        if (!c) break;
        out += label_character(static_cast<char>(*c));
      }
      if (out.size() > kNameBytes) break;
    }
    sound_ = false;
    return {};
  }

 private:
  static char label_character(char c) {
    c = to_lower(c);
    bool known = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    return known ? c : '?';
  }
  std::optional<unsigned> byte_at(std::size_t at, bool anywhere) const {
    if (at >= (anywhere ? message_.size() : end_)) return std::nullopt;
    return static_cast<unsigned>(message_[at]);
  }
  bool take(std::size_t count) {
    if (!sound_ || end_ - at_ < count) {
      sound_ = false;
      return false;
    }
    at_ += count;
    return true;
  }

  ByteView message_;
  std::size_t at_, end_;
  bool sound_ = true;
};

struct RecordHead {
  std::string owner;
  std::uint16_t type = 0, klass = 0;
  seconds ttl{};
  std::size_t data = 0, data_end = 0;
};

RecordHead read_head(DnsReader& reader) {
  RecordHead head;
  head.owner = reader.name();
  head.type = reader.u16();
  head.klass = reader.u16();
  std::uint32_t ttl = reader.u32();
  head.ttl = seconds(ttl > 0x7FFFFFFF ? 0 : ttl);  // RFC 2181 §8
  std::size_t length = reader.u16();
  head.data = reader.at();
  reader.skip(length);
  head.data_end = reader.at();
  return head;
}

bool is_host(const std::string& name) {
  return name.find('?') == std::string::npos;
}

void read_address(DnsReader data, Type type, Answer& answer) {
  if (type == Type::a) {
    std::uint32_t address = data.u32();
    if (data.sound()) answer.addresses.push_back(IpAddress::v4(address));
    return;
  }
  std::array<std::uint8_t, 16> bytes;
  for (std::uint8_t& byte : bytes) byte = data.u8();
  if (data.sound()) answer.addresses.push_back(IpAddress::v6(bytes));
}

void read_srv(DnsReader data, Answer& answer) {
  SrvRecord record;
  record.priority = data.u16();
  record.weight = data.u16();
  record.port = data.u16();
  record.target = data.name();
  if (data.sound() && is_host(record.target)) answer.srv.push_back(std::move(record));
}

void read_naptr(DnsReader data, Answer& answer) {
  NaptrRecord record;
  record.order = data.u16();
  record.preference = data.u16();
  record.flags = to_lower(data.text());
  record.services = to_lower(data.text());
  record.regexp = data.text();
  record.replacement = data.name();
  if (data.sound() && is_host(record.replacement)) answer.naptr.push_back(std::move(record));
}

std::size_t count_of(const Answer& answer) {
  return answer.addresses.size() + answer.srv.size() + answer.naptr.size();
}

/// How long "none" holds: by the SOA record of the authority section (RFC 2308 §5).
seconds negative_life(ByteView message, DnsReader& reader, unsigned authorities) {
  for (unsigned i = 0; i < authorities && reader.sound(); ++i) {
    RecordHead head = read_head(reader);
    if (!reader.sound() || head.type != kTypeSoa) continue;
    DnsReader data(message, head.data, head.data_end);
    data.name();
    data.name();
    data.skip(16);  // serial, refresh, retry, expire
    seconds minimum(data.u32());
    if (data.sound()) return std::min({head.ttl, minimum, limits::kDnsNegativeLife});
  }
  return kUnstatedNegative;
}

}  // namespace

Answer parse_response(const Question& question, ByteView message) {
  Answer answer;
  DnsReader reader(message, 0, message.size());
  reader.skip(2);
  unsigned flags = reader.u16();
  unsigned questions = reader.u16(), answers = reader.u16(), authorities = reader.u16();
  reader.skip(2);
  bool is_response = (flags & 0x8000u) != 0, cut = (flags & 0x0200u) != 0;
  unsigned code = flags & 0x0Fu;
  if (!reader.sound() || !is_response || cut || (code != 0 && code != kNameError)) return answer;
  for (unsigned i = 0; i < questions && reader.sound(); ++i) {
    reader.name();
    reader.skip(4);
  }
  std::string owner = question.name;
  seconds ttl = limits::kDnsMostLife;
  for (unsigned i = 0; i < answers && reader.sound(); ++i) {
    RecordHead head = read_head(reader);
    if (!reader.sound() || head.klass != kClassInternet || head.owner != owner) continue;
    DnsReader data(message, head.data, head.data_end);
    if (head.type == kTypeCname) {
      owner = data.name();
    } else if (head.type != number_of(question.type) || count_of(answer) >= limits::kDnsRecords) {
      continue;
    } else if (question.type == Type::srv) {
      read_srv(data, answer);
    } else if (question.type == Type::naptr) {
      read_naptr(data, answer);
    } else {
      read_address(data, question.type, answer);
    }
    ttl = std::min(ttl, head.ttl);
  }
  if (!reader.sound()) return {};
  bool found = count_of(answer) > 0;
  answer.status = found ? Status::found : Status::none;
  answer.ttl = found ? ttl : negative_life(message, reader, authorities);
  return answer;
}

}  // namespace isthmus::dns
