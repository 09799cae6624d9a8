#include <gtest/gtest.h>

#include "sip/uri.hpp"

namespace isthmus::sip {
namespace {

Uri uri(std::string_view text) {
  const auto parsed = Uri::parse(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? *parsed : Uri();
}

TEST(uri_parse, every_part) {
  const Uri parsed =
      uri("SIPS:alice:pa$$@example.org:5061;transport=tcp;lr?Subject=x&Priority=urgent");
  EXPECT_EQ(parsed.scheme, "sips");
  EXPECT_TRUE(parsed.is_sip());
  EXPECT_TRUE(parsed.is_secure());
  EXPECT_EQ(parsed.user, "alice");
  EXPECT_TRUE(parsed.has_password);
  EXPECT_EQ(parsed.password, "pa$$");
  EXPECT_EQ(parsed.host, "example.org");
  EXPECT_EQ(parsed.port, 5061);
  EXPECT_EQ(parsed.params.get("TRANSPORT"), "tcp");
  EXPECT_EQ(parsed.params.get("lr"), "");
  EXPECT_EQ(parsed.headers, "Subject=x&Priority=urgent");
  EXPECT_EQ(parsed.to_string(),
            "sips:alice:pa$$@example.org:5061;transport=tcp;lr?Subject=x&Priority=urgent");
}

TEST(uri_parse, sound_texts_come_back_as_they_were) {
  for (const char* text : {"sip:example.org",
                           "sip:a@b",
                           "sip:a:@b",
                           "sip:[2001:db8::10]",
                           "sip:a@[2001:db8::10]:5070",
                           "sip:[2001:db8::10:5070]",
                           "sip:[::ffff:192.0.2.128]",
                           "sip:192.0.2.1:65535",
                           "sip:a;par=u%40h@b;x",
                           "sip:a?b/c@h",
                           "sip:%00@h",
                           "sip:a%ZZ@h",
                           "sip:h?a=b",
                           "sip:h;x=[::1]",
                           "sip:+1-212;ext=4@h;user=phone",
                           "tel:+1-201-555-0123;phone-context=h",
                           "urn:service:sos.fire",
                           "soap.beep://192.0.2.103:3002",
                           "sip:trailing.dot.",
                           "sip:under_score",
                           "sip:h;a=b=c"}) {
    EXPECT_EQ(uri(text).to_string(), text);
  }
}

TEST(uri_parse, broken_texts_are_refused) {
  for (const char* text : {"",
                           ":",
                           "sip",
                           "sip:",
                           "sip:@",
                           "sip:a@",
                           "sip::@h",
                           "sip::x@h",
                           "sip:a@b@c",
                           "sip:a@b;c=d@e",
                           "sip:h:",
                           "sip:h:0",
                           "sip:h:65536",
                           "sip:h:12x",
                           "sip:h:-1",
                           "sip:[::1",
                           "sip:[]",
                           "sip:[1.2.3.4]",
                           "sip:[::g]",
                           "sip:::1",
                           "sip:2001:db8::10",
                           "sip:h;",
                           "sip:h;;a",
                           "sip:h;=a",
                           "sip:h?",
                           "sip:h x",
                           " sip:h",
                           "sip:h ",
                           "<sip:h>",
                           "sip:h\"",
                           "sip:h\x01",
                           "1ip:h",
                           "s_p:h",
                           "tel:",
                           "sip:h,i",
                           "sip:h;a=,",
                           "sip:\xc3\xa4.de"}) {
    EXPECT_FALSE(Uri::parse(text)) << text;
  }
}

TEST(uri_parse, nul_is_refused_raw_and_kept_escaped) {
  EXPECT_FALSE(Uri::parse(std::string_view("sip:a\0@h", 8)));
  EXPECT_EQ(uri("sip:null-%00-null@h").decoded_user(), std::string("null-\0-null", 11));
}

TEST(uri_parse, three_colons_before_an_embedded_ipv4_address) {
  EXPECT_EQ(uri("sip:user@[2001:db8:::192.0.2.1]").host, "[2001:db8:::192.0.2.1]");
}

TEST(uri_parse, user_is_decoded_on_request) {
  EXPECT_EQ(uri("sip:sips%3Auser%40example.com@example.net").user, "sips%3Auser%40example.com");
  EXPECT_EQ(uri("sip:sips%3Auser%40example.com@example.net").decoded_user(),
            "sips:user@example.com");
}

TEST(uri_parse, percent_decoding_leaves_what_is_no_escape) {
  EXPECT_EQ(percent_decode("%41%6a%6A"), "Ajj");
  EXPECT_EQ(percent_decode("%"), "%");
  EXPECT_EQ(percent_decode("%4"), "%4");
  EXPECT_EQ(percent_decode("%4x%x4%%41"), "%4x%x4%A");
  EXPECT_EQ(percent_decode("%2541"), "%41");
}

TEST(uri_parse, editing_parts_writes_a_uri_again) {
  Uri parsed = uri("sip:a@h;lr;transport=udp");
  parsed.host = "[2001:db8::1]";
  parsed.port = 5062;
  parsed.params.set("TRANSPORT", "tcp");
  parsed.params.set("ob", std::nullopt);
  parsed.params.remove("lr");
  EXPECT_EQ(parsed.to_string(), "sip:a@[2001:db8::1]:5062;transport=tcp;ob");
}

TEST(uri_equality, pairs_that_match) {  // most of them from RFC 3261 §19.1.4
  const std::pair<const char*, const char*> pairs[] = {
      {"sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"},
      {"sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"},
      {"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"},
      {"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
       "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"},
      {"sip:alice@atlanta.com?subject=project%20x&priority=urgent",
       "sip:alice@atlanta.com?priority=urgent&Subject=project%20x"},
      {"sip:a@[2001:db8:0:0::1]", "sip:a@[2001:DB8::1]"},
      {"SIP:a@h", "sip:a@h"},
      {"sip:a%3Bb@h", "sip:a%3bb@h"},
      {"tel:+1-201-555-0123", "tel:+12015550123"},
      {"urn:service:sos", "urn:service:sos"},
      {"sip:h;x=1;x=2", "sip:h;x=1;x=2"},
  };
  for (const auto& [a, b] : pairs) {
    EXPECT_TRUE(equivalent(uri(a), uri(b))) << a << " " << b;
    EXPECT_TRUE(equivalent(uri(b), uri(a))) << b << " " << a;
  }
}

TEST(uri_equality, pairs_that_differ) {
  const std::pair<const char*, const char*> pairs[] = {
      {"SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"},
      {"sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"},
      {"sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"},
      {"sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"},
      {"sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"},
      {"sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"},
      {"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"},
      {"sip:a@h;user=phone", "sip:a@h"},
      {"sip:a@h;maddr=192.0.2.1", "sip:a@h"},
      {"sip:a@h", "sips:a@h"},
      {"sip:a:@h", "sip:a@h"},
      {"sip:a;b@h", "sip:a%3Bb@h"},
      {"sip:a%2541@h", "sip:a%41@h"},
      {"sip:a@[::1]", "sip:a@[::2]"},
      {"sip:a@[::1]", "sip:a@h"},
      {"tel:+1", "tel:+2"},
      {"urn:a:b", "urn:a:B"},
  };
  for (const auto& [a, b] : pairs) {
    EXPECT_FALSE(equivalent(uri(a), uri(b))) << a << " " << b;
    EXPECT_FALSE(equivalent(uri(b), uri(a))) << b << " " << a;
  }
}

TEST(params, values_flags_and_quotes) {
  const auto params = Params::parse(" ; a = 1 ;flag; q=\"x;y=\\\"z,\" ;e=");
  ASSERT_TRUE(params);
  EXPECT_EQ(params->get("A"), "1");
  EXPECT_EQ(params->get("flag"), "");
  EXPECT_EQ(params->get("q"), "\"x;y=\\\"z,\"");
  EXPECT_EQ(params->get("e"), "");
  EXPECT_FALSE(params->get("none"));
  EXPECT_EQ(params->to_string(), ";a=1;flag;q=\"x;y=\\\"z,\";e=");
  EXPECT_TRUE(Params::parse("")->empty());
  for (const char* text :
       {"a=1", ";", ";;", ";a;;b", ";=1", ";a b", ";a=\"x", ";a=\"x\"y", ";a=1 2", ";a=<"})
    EXPECT_FALSE(Params::parse(text)) << text;
}

TEST(params, set_replaces_in_place_and_remove_takes_all) {
  auto params = Params::parse(";rport;branch=1;Branch=2");
  ASSERT_TRUE(params);
  params->set("RPORT", "5061");
  params->set("received", "192.0.2.1");
  params->remove("branch");
  EXPECT_EQ(params->to_string(), ";rport=5061;received=192.0.2.1");
  params->remove(params->all().front().name);
  EXPECT_EQ(params->to_string(), ";received=192.0.2.1");
}

TEST(name_addr, forms) {
  const auto parse = [](std::string_view text) {
    const auto parsed = NameAddr::parse(text);
    EXPECT_TRUE(parsed) << text;
    return parsed ? *parsed : NameAddr();
  };
  EXPECT_EQ(parse("  \"A \\\"B\\\\\" <sip:a@h;lr> ; tag = 7").to_string(),
            "\"A \\\"B\\\\\" <sip:a@h;lr>;tag=7");
  EXPECT_EQ(parse("sip:a@h;tag=7").to_string(), "<sip:a@h>;tag=7");
  EXPECT_EQ(parse("sip:a@h;tag=7").tag(), "7");
  EXPECT_FALSE(parse("<sip:a@h;tag=7>").tag());
  EXPECT_EQ(parse("A. G. Bell<sip:a@h>").display, "A. G. Bell");
  EXPECT_EQ(parse("\"\"<sip:a@h>").display, "\"\"");
  EXPECT_TRUE(parse(" * ").star);
  EXPECT_EQ(parse("*").to_string(), "*");
  EXPECT_EQ(parse("<sip:a@h>;+sip.instance=\"<urn:uuid:1>\"").params.get("+sip.instance"),
            "\"<urn:uuid:1>\"");
  EXPECT_EQ(parse("<sip:a@h?Replaces=x%3Bto-tag%3D1>").uri, "sip:a@h?Replaces=x%3Bto-tag%3D1");
}

TEST(split_list, commas_inside_quotes_brackets_and_comments_do_not_count) {
  using Parts = std::vector<std::string_view>;
  EXPECT_EQ(split_list("a, b ,c"), (Parts{"a", "b", "c"}));
  EXPECT_EQ(split_list(",, a,,"), (Parts{"a"}));
  EXPECT_EQ(split_list(""), Parts{});
  EXPECT_EQ(split_list("\"x, \\\", y\" <sip:a,b@h>, <sip:c>"),
            (Parts{"\"x, \\\", y\" <sip:a,b@h>", "<sip:c>"}));
  EXPECT_EQ(split_list("a (1, (2, \\) 3), 4), b"), (Parts{"a (1, (2, \\) 3), 4)", "b"}));
  EXPECT_EQ(split_list("a (1, b"), (Parts{"a (1", "b"}));
  EXPECT_EQ(split_list("\"open, a"), (Parts{"\"open, a"}));
  EXPECT_EQ(split_list("<open, a"), (Parts{"<open, a"}));
  EXPECT_EQ(split_list("\"open\\"), (Parts{"\"open\\"}));
}

TEST(split_list, hostile_nesting_takes_linear_time) {
  const std::string open(60'000, '(');
  EXPECT_EQ(split_list(open).size(), 1u);
  std::string commas;
  for (int i = 0; i < 20'000; ++i) commas += "(,";
  EXPECT_EQ(split_list(commas).size(), 20'000u);
}

}  // namespace
}  // namespace isthmus::sip
