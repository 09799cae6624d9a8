// Cases in the manner of RFC 4475 (torture tests) and RFC 5118 (IPv6 torture tests), written anew
// from what those documents say each case is about; the name of each test is the RFC's own name of
// the case.
#include <gtest/gtest.h>

#include "sip/message.hpp"
#include "unit/sip/message_samples.hpp"

namespace isthmus::sip {
namespace {

using samples::crlf;
using samples::options_with;
using samples::verdict;

/// Sound, and the same bytes again when nothing is changed.
Message accepted(const std::string& bytes) {
  auto message = Message::parse(bytes);
  EXPECT_TRUE(message) << message.error().reason();
  if (!message) return {};
  const auto fault = message->check();
  EXPECT_FALSE(fault) << fault->reason() << " at " << fault->offset;
  EXPECT_EQ(message->serialize(), bytes);
  return std::move(*message);
}

TEST(torture_valid, wsinv) {
  const Message message =
      accepted(crlf("INVITE sip:vera@chair.example.com;unknownparam SIP/2.0\n"
                    "TO :\n"
                    " sip:vera@chair.example.com ;   tag    = 1918181833n\n"
                    "from   : \"J Doe \\\\\\\"\"       <sip:jdoe@example.com>\n"
                    "  ;\n"
                    "  tag = 98asjd8\n"
                    "MaX-fOrWaRdS: 0068\n"
                    "Call-ID: wsinv.x@192.0.2.1\n"
                    "Content-Length   : 5\n"
                    "cseq: 0009\n"
                    "  INVITE\n"
                    "Via  : SIP  /   2.0\n"
                    " /UDP\n"
                    "    192.0.2.2;branch=390skdjuw\n"
                    "s :\n"
                    "NewHeader:   some value\n"
                    " continued here\n"
                    "UnknownHeaderWithUnusualValue: ;;,,;;,;\n"
                    "Content-Type: application/sdp\n"
                    "Route:\n"
                    " <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\n"
                    "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\n"
                    "  branch  =   z9hG4bK9ikj8  ,\n"
                    " SIP  /    2.0   / UDP  192.168.255.111   ; branch=\n"
                    " z9hG4bK30239\n"
                    "m:\"Quoted string \\\"\\\"\" <sip:jdoe@example.com> ; newparam =\n"
                    "      newvalue ;\n"
                    "  secondparam ; q = 0.33\n"
                    "\n"
                    "v=0\n"));
  EXPECT_EQ(message.to_tag(), "1918181833n");
  EXPECT_EQ(message.from_tag(), "98asjd8");
  EXPECT_EQ(message.from()->display, "\"J Doe \\\\\\\"\"");
  EXPECT_EQ(message.number(HeaderId::max_forwards), 68u);
  EXPECT_EQ(message.cseq()->to_string(), "9 INVITE");
  EXPECT_EQ(message.top_via()->branch(), "390skdjuw");
  const auto vias = message.values(HeaderId::via);
  ASSERT_EQ(vias.size(), 3u);
  EXPECT_EQ(Via::parse(vias[1])->branch(), "z9hG4bK9ikj8");
  EXPECT_EQ(Via::parse(vias[2])->branch(), "z9hG4bK30239");
  EXPECT_EQ(message.get("newheader"), "some value continued here");
  EXPECT_EQ(message.contact()->params.get("q"), "0.33");
  EXPECT_EQ(message.body(), "v=0\r\n");
}

TEST(torture_valid, intmeth) {
  std::string text = crlf(
      "!odd-Method0123456789_*+`.%indeed'~ "
      "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/"
      ";;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
      "@example.com SIP/2.0\n"
      "Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\n"
      "To: \"BEL:\\\x07 NUL:\\# DEL:\\\x7f\" "
      "<sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>\n"
      "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;"
      "fromParam''~+*_!.-%=\"\xd1\x80\xd0\xb0\xd0\xb1\";tag=_token~1'+`*%!-.\n"
      "Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\n"
      "CSeq: 139122385 !odd-Method0123456789_*+`.%indeed'~\n"
      "Max-Forwards: 255\n"
      "extensionHeader-!.%*+_`'~:\xef\xbb\xbf\xe5\xa4\xa7\n"
      "Content-Length: 0\n"
      "\n");
  text[text.find('#')] = '\0';
  const Message message = accepted(text);
  EXPECT_EQ(message.method(), Method::unknown);
  EXPECT_EQ(message.from_tag(), "_token~1'+`*%!-.");
  EXPECT_EQ(Uri::parse(message.request_uri())->user,
            "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*");
  EXPECT_EQ(message.get("EXTENSIONheader-!.%*+_`'~"), "\xef\xbb\xbf\xe5\xa4\xa7");
}

TEST(torture_valid, esc01) {
  const Message message = accepted(
      options_with("sip:b@example.net SIP", "sip:sips%3Auser%40example.com@example.net SIP"));
  EXPECT_EQ(Uri::parse(message.request_uri())->decoded_user(), "sips:user@example.com");
}

TEST(torture_valid, escnull) {
  const Message message =
      accepted(options_with("To: <sip:b@example.net>",
                            "To: sip:null-%00-null@example.com\r\nContact: "
                            "<sip:%00@host5.example.com>,<sip:%00%00@host5.example.com>"));
  EXPECT_EQ(message.values(HeaderId::contact).size(), 2u);
}

TEST(torture_valid, esc02) {
  std::string text = options_with("To: <", "To: \"%Z%45\" <");
  for (std::size_t at; (at = text.find("OPTIONS")) != std::string::npos;)
    text.replace(at, 7, "RE%47IST%45R");
  const Message message = accepted(text);
  EXPECT_EQ(message.method(), Method::unknown);  // a method is no place for escapes
  EXPECT_EQ(message.to()->display, "\"%Z%45\"");
}

TEST(torture_valid, lwsdisp) {
  const Message message = accepted(options_with("From: <sip:a@example.org>;tag=1",
                                                "From: caller<sip:caller@example.com>;tag=323"));
  EXPECT_EQ(message.from()->display, "caller");
}

TEST(torture_valid, longreq) {
  const std::string longish(4000, 'x');
  const Message message = accepted(options_with(
      "Max-Forwards", "Unknown-" + longish + ": " + longish + ",\r\n " + longish + "\r\n" +
                          "Contact: <sip:" + longish + "@h>\r\nMax-Forwards"));
  EXPECT_EQ(message.get("UNKNOWN-" + longish), longish + ", " + longish);
}

TEST(torture_valid, dblreq) {
  const std::string second = samples::invite();
  const auto message = Message::parse(samples::options() + "\r\n" + second);
  ASSERT_TRUE(message);
  EXPECT_FALSE(message->check());
  EXPECT_EQ(message->serialize(), samples::options());
}

TEST(torture_valid, semiuri) {
  const Message message = accepted(
      options_with("sip:b@example.net SIP", "sip:user;par=u%40example.net@example.com SIP"));
  EXPECT_EQ(Uri::parse(message.request_uri())->user, "user;par=u%40example.net");
  EXPECT_TRUE(Uri::parse(message.request_uri())->params.empty());
}

TEST(torture_valid, transports) {
  const Message message = accepted(options_with(
      "Max-Forwards",
      "Via: SIP/2.0/SCTP t2\r\nVia: SIP/2.0/TLS t3;branch=z9\r\nVia: SIP/2.0/UNKNOWN t4\r\n"
      "Via: SIP/2.0/TCP t5\r\nMax-Forwards"));
  const auto vias = message.values(HeaderId::via);
  ASSERT_EQ(vias.size(), 5u);
  EXPECT_EQ(Via::parse(vias[3])->transport, "UNKNOWN");
}

TEST(torture_valid, mpart01) {
  std::string body = "--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n--x\r\n\r\n";
  for (int byte = 0; byte < 256; ++byte) body += static_cast<char>(byte);
  body += "\r\n--x--";
  std::string text = options_with(
      "Content-Length: 0",
      "Content-Type: multipart/mixed;boundary=x\r\nContent-Length: " + std::to_string(body.size()));
  const Message message = accepted(text + body);
  EXPECT_EQ(message.body(), body);
  EXPECT_EQ(message.content_type(), "multipart/mixed");
}

TEST(torture_valid, unreason_and_noreason) {
  const std::string_view start = "OPTIONS sip:b@example.net SIP/2.0";
  EXPECT_EQ(accepted(options_with(start, "SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe")).reason(),
            "= 2**3 * 5**2 \xd0\xbd\xd0\xbe");
  EXPECT_EQ(accepted(options_with(start, "SIP/2.0 100 ")).reason(), "");
}

TEST(torture_valid, inv2543) {
  const Message message =
      accepted(crlf("INVITE sip:user@example.com SIP/2.0\n"
                    "Via: SIP/2.0/UDP iftgw.example.com\n"
                    "From: <sip:+13035551111@ift.client.example.net;user=phone>\n"
                    "To: sip:+16505552222@ss1.example.net;user=phone\n"
                    "Call-ID: 1717@ift.client.example.com\n"
                    "CSeq: 56 INVITE\n"
                    "\n"
                    "v=0\n"));
  EXPECT_EQ(message.from_tag(), "");
  EXPECT_EQ(message.to()->params.get("user"), "phone");
}

TEST(torture_valid, unknown_schemes) {
  accepted(options_with("sip:b@example.net SIP", "nobodyKnowsThisScheme:totallyopaquecontent SIP"));
  accepted(options_with("sip:b@example.net SIP", "soap.beep://192.0.2.103:3002 SIP"));
  const Message message = accepted(
      options_with("To: <sip:b@example.net>", "To: isbn:2983792873\r\nContact: <name:John_Smith>"));
  EXPECT_EQ(message.to()->uri, "isbn:2983792873");
}

TEST(torture_valid, cparam_and_regescrt) {
  const Message message = accepted(
      options_with("Max-F",
                   "Contact: sip:+19725552222@gw1.example.net;unknownparam, <sip:u@h;p>;q=1\r\n"
                   "m: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>\r\nMax-F"));
  EXPECT_EQ(message.contact()->uri, "sip:+19725552222@gw1.example.net");
  EXPECT_TRUE(message.contact()->params.has("unknownparam"));
}

TEST(torture_invalid, badinv01) {
  EXPECT_EQ(verdict(options_with("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa",
                                 "SIP/2.0/UDP 192.0.2.15;;,;,,")),
            "Malformed Via");
  EXPECT_EQ(verdict(options_with("Max-F", "Contact: \"Joe\" <sip:joe@example.org>;;;;\r\nMax-F")),
            "Malformed Contact");
}

TEST(torture_invalid, clerr_and_ncl) {
  EXPECT_EQ(verdict(options_with("Length: 0", "Length: 9999")), "unparsed: Wrong Content-Length");
  EXPECT_EQ(verdict(options_with("Length: 0", "Length: -999")), "unparsed: Wrong Content-Length");
}

TEST(torture_invalid, scalar02) {
  EXPECT_EQ(verdict(options_with("1 OPTIONS", "36893488147419103232 OPTIONS")), "Malformed CSeq");
  EXPECT_EQ(verdict(options_with("Forwards: 70", "Forwards: 300")), "Malformed Max-Forwards");
  EXPECT_EQ(verdict(options_with("Max-F", "Expires: 10000000000000000000000000000001\r\nMax-F")),
            "Malformed Expires");
}

TEST(torture_invalid, scalarlg) {
  std::string text = options_with("1 OPTIONS", "9292394834772304023312 OPTIONS");
  text.replace(0, text.find("\r\n"), "SIP/2.0 503 Service Unavailable");
  EXPECT_EQ(verdict(text), "Malformed CSeq");
}

TEST(torture_invalid, quotbal) {
  EXPECT_EQ(verdict(options_with("To: <", "To: \"Mr. J. User <")), "Malformed To");
}

TEST(torture_invalid, ltgtruri_lwsruri_lwsstart_trws_escruri) {
  EXPECT_EQ(verdict(options_with("sip:b@example.net SIP", "<sip:b@example.net> SIP")),
            "Malformed Request-URI");
  EXPECT_EQ(verdict(options_with("sip:b@example.net SIP", "sip:b@example.net; lr SIP")),
            "Malformed Request-URI");
  EXPECT_EQ(verdict(options_with("sip:b@example.net SIP", " sip:b@example.net  SIP")),
            "Malformed Request-URI");
  EXPECT_EQ(verdict(options_with("net SIP/2.0", "net SIP/2.0  ")), "Malformed Start Line");
  EXPECT_EQ(verdict(options_with("net SIP", "net?Route=%3Csip:example.com%3E SIP")),
            "Malformed Request-URI");
}

TEST(torture_invalid, regbadct) {
  EXPECT_EQ(verdict(options_with(
                "Max-F", "Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E\r\nMax-F")),
            "Malformed Contact");
}

TEST(torture_invalid, badaspec) {
  EXPECT_EQ(verdict(options_with("To: <sip:b@example.net>",
                                 "To: \"Watson, Thomas\" < sip:t.watson@example.org >")),
            "Malformed To");
}

TEST(torture_invalid, baddn) {
  EXPECT_EQ(verdict(options_with("From: <", "From: Bell, Alexander <")), "Malformed From");
}

TEST(torture_invalid, badvers) {
  EXPECT_EQ(verdict(options_with("SIP/2.0", "SIP/7.0")), "Version Not Supported");
}

TEST(torture_invalid, mismatch01_and_mismatch02) {
  EXPECT_EQ(verdict(options_with("1 OPTIONS", "8 INVITE")), "CSeq Method Mismatch");
  EXPECT_EQ(verdict(options_with("OPTIONS sip", "NEWMETHOD sip")), "CSeq Method Mismatch");
}

TEST(torture_invalid, bigcode) {
  EXPECT_EQ(verdict(options_with("OPTIONS sip:b@example.net SIP/2.0",
                                 "SIP/2.0 4294967301 better not break")),
            "unparsed: Malformed Start Line");
}

TEST(torture_invalid, insuf_multi01_mcl01) {
  EXPECT_EQ(verdict(options_with("Call-ID: c1\r\n", "")), "Missing Call-ID");
  EXPECT_EQ(verdict(options_with("Max-F", "Call-ID: c2\r\nMax-F")), "Duplicate Call-ID");
  EXPECT_EQ(verdict(options_with("Max-F", "l: 5\r\nMax-F") + "12345"),
            "unparsed: Wrong Content-Length");
}

TEST(torture_baddate, is_left_to_whoever_reads_dates) {
  accepted(options_with("Max-F", "Date: Fri, 01 Jan 2010 16:00:00 EST\r\nMax-F"));
}

TEST(torture_ipv6, references_with_and_without_port) {  // RFC 5118 §4.1 to §4.5
  const Message message = accepted(crlf(
      "REGISTER sip:[2001:db8::10]:5070 SIP/2.0\n"
      "To: sip:user@example.com\n"
      "From: sip:user@example.com;tag=81x2\n"
      "Via: SIP/2.0/UDP [2001:db8::9:1]:6050;received=[2001:db8::9:255];branch=z9hG4bKas3-111\n"
      "Call-ID: SSG9559905523997077@hlau_4100\n"
      "Max-Forwards: 70\n"
      "Contact: \"Caller\" <sip:caller@[2001:db8::1]>\n"
      "CSeq: 98176 REGISTER\n"
      "Content-Length: 0\n"
      "\n"));
  EXPECT_EQ(Uri::parse(message.request_uri())->port, 5070);
  EXPECT_EQ(message.top_via()->port, 6050);
  accepted(options_with("sip:b@example.net SIP", "sip:[2001:db8::10:5070] SIP"));
}

TEST(torture_ipv6, ipv6_bad) {  // RFC 5118 §4.2: without brackets
  EXPECT_EQ(verdict(options_with("sip:b@example.net SIP", "sip:2001:db8::10 SIP")),
            "Malformed Request-URI");
}

TEST(torture_ipv6, three_colons_and_mapped_addresses) {  // RFC 5118 §4.8, §4.10
  accepted(options_with("Max-F", "Contact: \"I\" <sip:user@[2001:db8:::192.0.2.1]>\r\nMax-F"));
  accepted(options_with("Max-F", "Contact: <sip:user@[::ffff:192.0.2.10]:19823>\r\nMax-F"));
}

}  // namespace
}  // namespace isthmus::sip
