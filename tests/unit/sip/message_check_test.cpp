#include <gtest/gtest.h>

#include "sip/message.hpp"
#include "unit/sip/message_samples.hpp"

namespace isthmus::sip {
namespace {

using samples::options;
using samples::options_with;
using samples::verdict;

TEST(message_check, sound_messages_pass) {
  EXPECT_EQ(verdict(options()), "");
  EXPECT_EQ(verdict(samples::invite()), "");
  EXPECT_EQ(verdict(options_with("Max-Forwards: 70\r\n", "")), "");
  EXPECT_EQ(verdict(options_with("Content-Length: 0\r\n", "")), "");
  EXPECT_EQ(verdict(options_with("OPTIONS sip:b@example.net SIP/2.0", "SIP/2.0 200 OK")), "");
}

TEST(message_check, each_mandatory_header_is_missed_by_name) {
  EXPECT_EQ(verdict(options_with("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n", "")),
            "Missing Via");
  EXPECT_EQ(verdict(options_with("From: <sip:a@example.org>;tag=1\r\n", "")), "Missing From");
  EXPECT_EQ(verdict(options_with("To: <sip:b@example.net>\r\n", "")), "Missing To");
  EXPECT_EQ(verdict(options_with("Call-ID: c1\r\n", "")), "Missing Call-ID");
  EXPECT_EQ(verdict(options_with("CSeq: 1 OPTIONS\r\n", "")), "Missing CSeq");
}

TEST(message_check, single_headers_may_not_stand_twice) {
  const auto with = [](std::string_view line) {
    return verdict(options_with("Content-Length", std::string(line) + "\r\nContent-Length"));
  };
  EXPECT_EQ(with("f: <sip:a@example.org>;tag=1"), "Duplicate From");
  EXPECT_EQ(with("t: <sip:b@example.net>"), "Duplicate To");
  EXPECT_EQ(with("i: c1"), "Duplicate Call-ID");
  EXPECT_EQ(with("CSeq: 1 OPTIONS"), "Duplicate CSeq");
  EXPECT_EQ(with("max-forwards: 70"), "Duplicate Max-Forwards");
  EXPECT_EQ(with("Content-Type: a/b\r\nc: a/b"), "Duplicate Content-Type");
  EXPECT_EQ(with("Expires: 1\r\nExpires: 1"), "Duplicate Expires");
  EXPECT_EQ(with("v: SIP/2.0/UDP h"), "");
  EXPECT_EQ(with("X-Any: 1\r\nX-Any: 1"), "");
}

TEST(message_check, duplicate_is_pointed_at) {
  const std::string text = options_with("Content-Length", "i: other\r\nContent-Length");
  const auto message = Message::parse(text);
  ASSERT_TRUE(message);
  const auto fault = message->check();
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->header, HeaderId::call_id);
  EXPECT_EQ(fault->offset, text.find("i: other"));
  EXPECT_EQ(fault->status(), 400);
}

TEST(message_check, cseq) {
  for (const char* value :
       {"", "1", "OPTIONS", "1OPTIONS", "-1 OPTIONS", "2147483648 OPTIONS",
        "36893488147419103232 OPTIONS", "1 OPT(IONS", "1 OPTIONS x", "1.0 OPTIONS"}) {
    SCOPED_TRACE(value);
    EXPECT_EQ(verdict(options_with("1 OPTIONS", value)), "Malformed CSeq");
  }
  for (const char* value : {"0 OPTIONS", "2147483647 OPTIONS", "0009 \t OPTIONS"}) {
    SCOPED_TRACE(value);
    EXPECT_EQ(verdict(options_with("1 OPTIONS", value)), "");
  }
  EXPECT_EQ(verdict(options_with("1 OPTIONS", "1 INVITE")), "CSeq Method Mismatch");
  EXPECT_EQ(verdict(options_with("1 OPTIONS", "1 options")), "CSeq Method Mismatch");
}

TEST(message_check, via_each_value_of_each_field) {
  for (const char* value :
       {"", ",", "SIP/2.0/UDP", "SIP/2.0 h", "SIP/3.0/UDP h", "HTTP/2.0/UDP h",
        "SIP/2.0/UDP h:", "SIP/2.0/UDP h:x", "SIP/2.0/UDP h:70000", "SIP/2.0/UDP h:0",
        "SIP/2.0/UDP [::1", "SIP/2.0/UDP [g::1]", "SIP/2.0/UDP h;;branch=1", "SIP/2.0/UDP h;",
        "SIP/2.0/UDP h x", "SIP/2.0/UDP h, broken", "SIP/2.0/UDPh", "SIP/2.0/UDP h;=x",
        "SIP/2.0/UDP 192.0.2.15;;,;,,"}) {
    SCOPED_TRACE(value);
    EXPECT_EQ(verdict(options_with("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa", value)),
              "Malformed Via");
  }
  EXPECT_EQ(verdict(options_with("Max-F", "v: nonsense\r\nMax-F")), "Malformed Via");
}

TEST(message_check, addresses) {
  const auto to = [](std::string_view value) {
    return verdict(options_with("To: <sip:b@example.net>", std::string("To: ").append(value)));
  };
  for (const char* value :
       {"sip:b@h", "sip:b@h;tag=1", "Bob <sip:b@h>", "\"B\" <sip:b@h>",
        "\"<B>, \\\" ;\"<sip:b@h>;x=\"1;2,3\"", "<tel:+49301234;phone-context=x>", "tel:112",
        "<urn:service:sos>", "<sip:@192.0.2.1>", "<sips:b@[2001:db8::1]:5061>",
        "caller<sip:b@h>;tag=323", "J\xc3\xb6rg M. <sip:b@h>", "sip:b@h ; tag = 1",
        "<sip:under_score.example>"}) {
    SCOPED_TRACE(value);
    EXPECT_EQ(to(value), "");
  }
  for (const char* value : {"",
                            "*",
                            "b",
                            "<>",
                            "<sip:>",
                            "<sip:b@>",
                            "<sip:b@h",
                            "\"B <sip:b@h>",
                            "\"B\" sip:b@h",
                            "\"B\"",
                            "<b@h>",
                            "< sip:b@h >",
                            "<sip:b @h>",
                            "<sip:b@h> x",
                            "<sip:b@h>;",
                            "<sip:b@h>;;x",
                            "<sip:b@h>,<sip:c@h>",
                            "Bell, A <sip:b@h>",
                            "sip:b@h?Route=x",
                            "<sip:b@h:99999>",
                            "<sip:b@h:>",
                            "<sip:[::1>",
                            "<1sip:b@h>",
                            "<sip:a@b@c>",
                            "<sip::secret@h>",
                            "<sip:b@h>;tag=\"open",
                            "B\"C\" <sip:b@h>",
                            "<sip:b@h;;x>",
                            "<sip:b@h?>",
                            "<tel:>"}) {
    SCOPED_TRACE(value);
    EXPECT_EQ(to(value), "Malformed To");
  }
}

TEST(message_check, contact_and_routes_value_by_value) {
  const auto with = [](std::string_view line) {
    return verdict(options_with("Content-Length", std::string(line) + "\r\nContent-Length"));
  };
  EXPECT_EQ(with("Contact: <sip:a@h>, <sip:b@h>;q=0.5\r\nm: sip:c@h"), "");
  EXPECT_EQ(with("Contact: <sip:a@h>, oops"), "Malformed Contact");
  EXPECT_EQ(with("Contact:"), "Malformed Contact");
  EXPECT_EQ(with("Contact: *"), "Malformed Contact");  // not a REGISTER
  EXPECT_EQ(with("Route: <sip:r;lr>,<sip:s;lr>\r\nRecord-Route: <sip:r;lr>"), "");
  EXPECT_EQ(with("Route: <sip:r;lr>,s"), "Malformed Route");
  EXPECT_EQ(with("Record-Route: <sip:r;lr"), "Malformed Record-Route");
}

TEST(message_check, star_contact_stands_alone_in_register) {
  std::string text = options_with("1 OPTIONS", "1 REGISTER");
  text.replace(0, 7, "REGISTER");
  const auto with = [&](std::string_view line) {
    std::string changed = text;
    return verdict(changed.insert(changed.find("Content-Length"), std::string(line) + "\r\n"));
  };
  EXPECT_EQ(with("Contact: *\r\nExpires: 0"), "");
  EXPECT_EQ(with("Contact: *, <sip:a@h>"), "Malformed Contact");
  EXPECT_EQ(with("Contact: *\r\nContact: <sip:a@h>"), "Malformed Contact");
  EXPECT_EQ(with("Contact: *;expires=0"), "Malformed Contact");
}

TEST(message_check, numbers) {
  for (const char* value : {"0", "255", "0070"})
    EXPECT_EQ(verdict(options_with("Forwards: 70", std::string("Forwards: ") + value)), "")
        << value;
  for (const char* value : {"256", "-1", "", "seventy", "70 70", "4294967366"})
    EXPECT_EQ(verdict(options_with("Forwards: 70", std::string("Forwards: ") + value)),
              "Malformed Max-Forwards")
        << value;
  EXPECT_EQ(verdict(options_with("Max-F", "Expires: 4294967295\r\nMax-F")), "");
  EXPECT_EQ(verdict(options_with("Max-F", "Expires: 4294967296\r\nMax-F")), "Malformed Expires");
  EXPECT_EQ(verdict(options_with("c1", "a b")), "Malformed Call-ID");
  EXPECT_EQ(verdict(options_with("c1", "")), "Malformed Call-ID");
}

TEST(message_check, request_uri) {
  for (const char* uri : {"<sip:b@h>", "sip:b@h; lr", "", "b", "sip:", "sip:b@h?Route=%3Csip:x%3E",
                          "sip:b\"@h", "sip:2001:db8::10", "sip:b@h\tx"}) {
    SCOPED_TRACE(uri);
    EXPECT_EQ(verdict(options_with("sip:b@example.net", uri)), "Malformed Request-URI");
  }
  for (const char* uri :
       {"sip:h", "sips:b@h:5061;lr", "tel:+1-201-555-0123", "soap.beep://192.0.2.103:3002",
        "urn:service:sos", "sip:[2001:db8::10]:5070", "sip:*21*%23@h", "sip:b@h/;x"}) {
    SCOPED_TRACE(uri);
    EXPECT_EQ(verdict(options_with("sip:b@example.net", uri)),
              std::string(uri).ends_with("/;x") ? "Malformed Request-URI" : "");
  }
}

TEST(message_check, start_line_faults_that_can_be_answered) {
  const auto message = Message::parse(options_with("SIP/2.0", "SIP/7.0"));
  ASSERT_TRUE(message);
  ASSERT_TRUE(message->check());
  EXPECT_EQ(message->check()->code, FaultCode::bad_version);
  EXPECT_EQ(message->check()->status(), 505);
  EXPECT_EQ(Message::response_to(*message, 505).call_id(), "c1");
  EXPECT_EQ(verdict(options_with("SIP/2.0", "sip/2.0")), "");
  EXPECT_EQ(verdict(options_with("net SIP/2.0", "net SIP/2.0  ")), "Malformed Start Line");
  EXPECT_EQ(verdict(options_with("OPTIONS sip", "OPTIONS  sip")), "Malformed Request-URI");
  Message repaired = *message;
  repaired.set_request_uri("sip:b@example.net");
  EXPECT_EQ(repaired.serialize(), options());
  EXPECT_FALSE(repaired.check());
}

TEST(message_check, edited_messages_are_judged_as_edited) {
  auto message = Message::parse(options());
  ASSERT_TRUE(message);
  message->set(HeaderId::to, "broken <");
  EXPECT_EQ(message->check()->reason(), "Malformed To");
  message->set(HeaderId::to, "<sip:b@h>");
  EXPECT_FALSE(message->check());
  message->set(HeaderId::content_length, "x");
  EXPECT_EQ(message->check()->reason(), "Malformed Content-Length");
}

TEST(message_check, empty_message_is_not_sound) {
  EXPECT_TRUE(Message().check());
}

TEST(fault, status_and_reason_name_what_is_wrong) {
  const auto reason = [](FaultCode code, HeaderId id = HeaderId::other) {
    return std::to_string(Fault{code, id, 0}.status()) + " " + Fault{code, id, 0}.reason();
  };
  EXPECT_EQ(reason(FaultCode::empty), "400 Empty Message");
  EXPECT_EQ(reason(FaultCode::too_large), "513 Message Too Large");
  EXPECT_EQ(reason(FaultCode::too_many_headers), "513 Too Many Header Fields");
  EXPECT_EQ(reason(FaultCode::header_too_long), "513 Too Long Header Field");
  EXPECT_EQ(reason(FaultCode::bad_start_line), "400 Malformed Start Line");
  EXPECT_EQ(reason(FaultCode::bad_version), "505 Version Not Supported");
  EXPECT_EQ(reason(FaultCode::bad_header_line), "400 Malformed Header Line");
  EXPECT_EQ(reason(FaultCode::no_end_of_headers), "400 Missing End Of Headers");
  EXPECT_EQ(reason(FaultCode::missing_header, HeaderId::call_id), "400 Missing Call-ID");
  EXPECT_EQ(reason(FaultCode::duplicate_header, HeaderId::to), "400 Duplicate To");
  EXPECT_EQ(reason(FaultCode::bad_header_value, HeaderId::cseq), "400 Malformed CSeq");
  EXPECT_EQ(reason(FaultCode::bad_header_value), "400 Malformed Header Value");
  EXPECT_EQ(reason(FaultCode::bad_content_length), "400 Wrong Content-Length");
  EXPECT_EQ(reason(FaultCode::cseq_method_mismatch), "400 CSeq Method Mismatch");
  EXPECT_EQ(reason(FaultCode::bad_request_uri), "400 Malformed Request-URI");
}

TEST(names, headers_and_methods_go_both_ways) {
  for (int i = 1; i <= static_cast<int>(HeaderId::www_authenticate); ++i) {
    const auto id = static_cast<HeaderId>(i);
    const std::string name(to_text(id));
    EXPECT_FALSE(name.empty());
    EXPECT_EQ(header_from(name), id) << name;
    std::string other_case = name;
    for (char& c : other_case)
      c = static_cast<char>(std::isupper(c) ? std::tolower(c) : std::toupper(c));
    EXPECT_EQ(header_from(other_case), id) << other_case;
    EXPECT_EQ(header_from(name + "x"), HeaderId::other);
  }
  for (int i = 1; i <= static_cast<int>(Method::publish); ++i) {
    const auto method = static_cast<Method>(i);
    EXPECT_FALSE(to_text(method).empty());
    EXPECT_EQ(method_from(to_text(method)), method);
  }
  EXPECT_EQ(method_from("Invite"), Method::unknown);
  EXPECT_EQ(to_text(Method::unknown), "");
  EXPECT_EQ(to_text(HeaderId::other), "");
  EXPECT_EQ(header_from(""), HeaderId::other);
}

TEST(names, compact_forms) {
  const std::pair<const char*, HeaderId> forms[] = {{"v", HeaderId::via},
                                                    {"f", HeaderId::from},
                                                    {"t", HeaderId::to},
                                                    {"i", HeaderId::call_id},
                                                    {"m", HeaderId::contact},
                                                    {"l", HeaderId::content_length},
                                                    {"c", HeaderId::content_type},
                                                    {"e", HeaderId::content_encoding},
                                                    {"k", HeaderId::supported},
                                                    {"s", HeaderId::subject},
                                                    {"o", HeaderId::event},
                                                    {"u", HeaderId::allow_events},
                                                    {"r", HeaderId::refer_to},
                                                    {"b", HeaderId::referred_by},
                                                    {"x", HeaderId::session_expires},
                                                    {"y", HeaderId::identity},
                                                    {"d", HeaderId::request_disposition},
                                                    {"j", HeaderId::reject_contact},
                                                    {"a", HeaderId::accept_contact},
                                                    {"n", HeaderId::identity_info},
                                                    {"V", HeaderId::via},
                                                    {"z", HeaderId::other},
                                                    {"1", HeaderId::other}};
  for (const auto& [letter, id] : forms) EXPECT_EQ(header_from(letter), id) << letter;
}

TEST(names, reason_phrases) {
  EXPECT_EQ(reason_phrase(100), "Trying");
  EXPECT_EQ(reason_phrase(200), "OK");
  EXPECT_EQ(reason_phrase(491), "Request Pending");
  EXPECT_EQ(reason_phrase(608), "Rejected");
  for (const int unknown : {0, 99, 299, 599, 699}) EXPECT_EQ(reason_phrase(unknown), "Unknown");
  int known = 0;  // a table out of order would hide phrases
  for (int status = 100; status < 700; ++status)
    if (reason_phrase(status) != "Unknown") ++known;
  EXPECT_EQ(known, 75);
}

}  // namespace
}  // namespace isthmus::sip
