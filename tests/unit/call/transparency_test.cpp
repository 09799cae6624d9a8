// What the bridge has no reason to touch crosses byte for byte, whatever it is: requests and
// responses of any method, inside dialogs and outside, with headers that nobody has heard of.
#include "bridge_bench.hpp"

namespace isthmus::call {
namespace {

using sip::HeaderId;

struct Transparency : BridgeBench {
  SeededRandom chaos{2026};

  std::string token_of(std::size_t most) {
    static constexpr std::string_view kToken =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~";
    std::string out;
    for (std::size_t i = 0, n = 1 + chaos.below(most); i < n; ++i)
      out += kToken[chaos.below(kToken.size())];
    return out;
  }
  /// Header lines as strange as the grammar allows: spaces around the colon, folding, empty values,
  /// quotes, UTF-8, names in any case, headers that are known but none of our business.
  std::string strange_headers() {
    static const char* const kNames[] = {"Subject",       "s",        "USER-AGENT", "Alert-Info",
                                         "P-Early-Media", "Identity", "y",          "Allow",
                                         "supported",     "k",        "Privacy",    "Warning",
                                         "Date",          "Reason",   "Diversion"};
    static const char* const kSpaces[] = {": ", ":", " : ", ":\t  ", ":  \r\n   "};
    std::string out;
    for (std::size_t i = 0, n = 3 + chaos.below(12); i < n; ++i) {
      bool known = chaos.below(3) == 0;
      out += known ? std::string(kNames[chaos.below(std::size(kNames))]) : "X-" + token_of(20);
      out += kSpaces[chaos.below(std::size(kSpaces))];
      for (std::size_t word = 0, words = known ? 1 : chaos.below(5); word < words; ++word) {
        std::string text = token_of(12);
        switch (chaos.below(6)) {
          case 0:
            out += "\"" + text + "\\\" ,;<>\"";
            break;
          case 1:
            out += "<" + text + ">;" + token_of(4) + "=";
            break;
          case 2:
            out += "  \r\n\t" + text;
            break;
          case 3:
            out += "\xc3\xa4\xe2\x82\xac, " + text;
            break;
          default:
            out += " " + text;
        }
      }
      out += "\r\n";
    }
    return out;
  }
  /// The message with those headers before its body, and a body that is no description.
  std::string with_headers(const sip::Message& message, const std::string& headers) {
    std::string bytes = message.serialize();
    std::string body;
    for (std::size_t i = 0, n = chaos.below(200); i < n; ++i)
      body += static_cast<char>(chaos.below(256));
    std::size_t end = bytes.find("\r\n\r\n");
    std::string head = bytes.substr(0, end + 2);
    std::size_t length = head.find("Content-Length");
    if (length != std::string::npos) head.erase(length, head.find("\r\n", length) + 2 - length);
    return head + headers + "Content-Type: application/x-odd; a=\"b;c\"\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  /// Everything but what is a hop's own.
  static std::string kept(const std::string& bytes) {
    std::size_t end = bytes.find("\r\n\r\n"), at = bytes.find("\r\n") + 2;
    std::string out;
    bool skip = false;
    while (at < end + 2) {
      std::size_t next = bytes.find("\r\n", at) + 2;
      std::string line = bytes.substr(at, next - at);
      if (line[0] != ' ' && line[0] != '\t') {
        sip::HeaderId id = sip::header_from(line.substr(0, line.find_first_of(": \t")));
        skip = id == HeaderId::via || id == HeaderId::contact || id == HeaderId::max_forwards ||
               id == HeaderId::route || id == HeaderId::record_route;
      }
      if (!skip) out += line;
      at = next;
    }
    return out + bytes.substr(end + 2);
  }
  void give_bytes(const std::string& bytes, const sip::Flow& from) {
    auto parsed = sip::Message::parse(bytes);
    ASSERT_TRUE(parsed) << bytes;
    ASSERT_FALSE(parsed->check()) << parsed->check()->reason() << '\n' << bytes;
    give(*parsed, from);
  }
  /// Sends it and compares what arrives.
  void cross(const sip::Message& message, const sip::Flow& from, const sip::Flow& to) {
    std::string bytes = with_headers(message, strange_headers());
    sent.clear();
    give_bytes(bytes, from);
    ASSERT_FALSE(sent.empty());
    const Sent* arrived = nullptr;
    for (const Sent& entry : sent) {
      if (entry.flow == to && entry.message.status() == message.status() &&
          entry.message.method_text() == message.method_text())
        arrived = &entry;
    }
    ASSERT_TRUE(arrived) << bytes;
    EXPECT_EQ(kept(arrived->message.serialize()), kept(bytes));
  }
};

TEST_F(Transparency, any_method_outside_dialogs_and_its_responses) {
  for (int round = 0; round < 60; ++round) {
    std::string method = round % 3 ? token_of(10) : "MESSAGE";
    if (method == "INVITE" || method == "ACK" || method == "CANCEL" || method == "REGISTER")
      continue;
    cross(request(method, "sip:carol@example.org"), alice, carol);
    sip::Message seen = last(carol, method);
    sip::Message answer = response(seen, round % 2 ? 299 : 488, "t" + std::to_string(round));
    answer.remove(HeaderId::contact);
    cross(answer, carol, alice);
  }
}

TEST_F(Transparency, calls_and_any_method_inside_them) {
  for (int round = 0; round < 20; ++round) {
    cross(request("INVITE", "sip:carol@example.org"), alice, carol);
    invite = last(carol, "INVITE");
    cross(response(invite, 183, "c1"), carol, alice);
    cross(response(invite, 200, "c1"), carol, alice);
    sip::Message ok = last(alice, "INVITE", 200);
    cross(by_caller(ok, "ACK", 1), alice, carol);
    for (unsigned i = 1; i <= 5; ++i) {
      std::string method = i % 2 ? "INFO" : token_of(8);
      cross(by_caller(ok, method, 1 + i), alice, carol);
      cross(response(last(carol, method), i % 2 ? 200 : 403), carol, alice);
      method = token_of(8);
      cross(by_callee(invite, "c1", method, i), carol, alice);
      cross(response(last(alice, method), 202), alice, carol);
    }
    cross(by_caller(ok, "BYE", 20), alice, carol);
    cross(response(last(carol, "BYE"), 200), carol, alice);
  }
  EXPECT_EQ(bridge.call_count(), 0u);
}

}  // namespace
}  // namespace isthmus::call
