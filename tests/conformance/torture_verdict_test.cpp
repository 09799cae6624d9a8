// What the parser and Message::check() say of each message of the table, and what they read in it.
#include <gtest/gtest.h>

#include <set>

#include "conformance/torture_corpus.hpp"
#include "sip/message.hpp"

namespace isthmus::sip {
namespace {

using conformance::torture;
using conformance::TortureCase;

struct TortureVerdict : testing::TestWithParam<TortureCase> {};

TEST_P(TortureVerdict, is_as_the_table_says) {
  const std::string bytes = torture(GetParam().name);
  const auto message = Message::parse(bytes);
  std::optional<Fault> fault;
  if (!message) {
    fault = message.error();
  } else {
    fault = message->check();
  }
  const std::string verdict =
      fault ? "reject " + std::to_string(fault->status()) + " " + fault->reason() : "accept";
  EXPECT_EQ(verdict, GetParam().verdict);
  if (!fault) {
    EXPECT_EQ(bytes.substr(0, message->serialize().size()), message->serialize());
  }
}
std::string name_of(const testing::TestParamInfo<TortureCase>& info) {
  std::string name = info.param.name;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(torture, TortureVerdict, testing::ValuesIn(conformance::torture_table()),
                         name_of);

TEST(TortureTable, names_every_message_once_and_every_section_of_both_rfcs) {
  std::multiset<std::string> names, sections;
  for (const TortureCase& row : conformance::torture_table()) {
    names.insert(row.name);
    sections.insert(row.section);
  }
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(conformance::torture_directory())) {
    if (entry.path().extension() != ".sip") continue;
    ++files;
    EXPECT_EQ(names.count(entry.path().stem().string()), 1u) << entry.path();
  }
  EXPECT_EQ(files, names.size());
  const auto expect_each = [&](const std::string& prefix, int count) {
    for (int i = 1; i <= count; ++i)
      EXPECT_GE(sections.count(prefix + std::to_string(i)), 1u) << prefix << i;
  };
  expect_each("4475 3.1.1.", 13);
  expect_each("4475 3.1.2.", 19);
  expect_each("4475 3.2.", 1);
  expect_each("4475 3.3.", 15);
  expect_each("4475 3.4.", 1);
  expect_each("5118 4.", 10);
}

/// Sound.
Message accepted(const std::string& name) {
  auto message = Message::parse(torture(name));
  EXPECT_TRUE(message) << message.error().reason();
  if (!message) return {};
  const auto fault = message->check();
  EXPECT_FALSE(fault) << fault->reason() << " at " << fault->offset;
  return std::move(*message);
}

TEST(TortureValues, wsinv) {
  const Message message = accepted("wsinv");
  EXPECT_EQ(message.to_tag(), "7718181744k");
  EXPECT_EQ(message.from_tag(), "51asjd9");
  EXPECT_EQ(message.from()->display, "\"F Ode \\\\\\\"\"");
  EXPECT_EQ(message.number(HeaderId::max_forwards), 67u);
  EXPECT_EQ(message.cseq()->to_string(), "8 INVITE");
  EXPECT_EQ(message.top_via()->branch(), "271skdjuw");
  const auto vias = message.values(HeaderId::via);
  ASSERT_EQ(vias.size(), 3u);
  EXPECT_EQ(Via::parse(vias[1])->branch(), "z9hG4bK7ikj3");
  EXPECT_EQ(Via::parse(vias[2])->branch(), "z9hG4bK40337");
  EXPECT_EQ(message.get("brandnewheader"), "a new value that goes on here");
  EXPECT_EQ(message.contact()->params.get("q"), "0.33");
  EXPECT_EQ(message.contact()->params.get("fresh"), "value");
  EXPECT_EQ(message.get(HeaderId::subject), "");
  EXPECT_EQ(message.body().substr(0, 5), "v=0\r\n");
}

TEST(TortureValues, intmeth) {
  const Message message = accepted("intmeth");
  EXPECT_EQ(message.method(), Method::unknown);
  EXPECT_EQ(message.method_text(), "!odd-Method0123456789_*+`.%indeed'~");
  EXPECT_EQ(message.from_tag(), "_token~1'+`*%!-.");
  EXPECT_EQ(Uri::parse(message.request_uri())->user,
            "7_rare.URI~(to-be!sure)&isn't+it$/crazy?,/;;*");
  EXPECT_EQ(message.get("OWNheader-!.%*+_`'~"), "\xef\xbb\xbf\xe5\xa4\xa7\xe5\xb1\xb1");
}

TEST(TortureValues, esc01) {
  const Message message = accepted("esc01");
  EXPECT_EQ(Uri::parse(message.request_uri())->decoded_user(), "sips:vera@example.com");
  EXPECT_EQ(Uri::parse(message.to()->uri)->decoded_user(), "vera");
  // Decoded once and never again: "value%41" is not "valueA".
  const auto contact = Uri::parse(message.contact()->uri);
  EXPECT_EQ(percent_decode(*contact->params.get("n%61me")), "value%41");
}

TEST(TortureValues, escnull) {
  const Message message = accepted("escnull");
  EXPECT_EQ(Uri::parse(message.to()->uri)->decoded_user(), std::string("zero-\0-zero", 11));
  const auto contacts = message.values(HeaderId::contact);
  ASSERT_EQ(contacts.size(), 2u);
  const auto first = Uri::parse(NameAddr::parse(contacts[0])->uri);
  const auto second = Uri::parse(NameAddr::parse(contacts[1])->uri);
  EXPECT_FALSE(equivalent(*first, *second));
}

TEST(TortureValues, esc02) {
  const Message message = accepted("esc02");
  EXPECT_EQ(message.method(), Method::unknown);
  EXPECT_EQ(message.to()->display, "\"%Z%45\"");
  EXPECT_EQ(message.values(HeaderId::contact).size(), 2u);
}

TEST(TortureValues, dblreq_ends_where_its_length_says) {
  const Message message = accepted("dblreq");
  EXPECT_TRUE(message.serialize().ends_with("Content-Length: 0\r\n\r\n"));
}

TEST(TortureValues, semiuri) {
  const auto uri = Uri::parse(accepted("semiuri").request_uri());
  EXPECT_EQ(uri->decoded_user(), "vera;par=u@example.net");
  EXPECT_TRUE(uri->params.empty());
}

TEST(TortureValues, longreq_and_transports) {
  EXPECT_EQ(accepted("longreq").values(HeaderId::via).size(), 34u);
  const Message message = accepted("transports");
  const auto vias = message.values(HeaderId::via);
  ASSERT_EQ(vias.size(), 5u);
  EXPECT_EQ(Via::parse(vias[3])->transport, "UNHEARDOF");
}

TEST(TortureValues, unreason_and_noreason) {
  EXPECT_TRUE(accepted("unreason").reason().starts_with("= 3**2 * 5**3 \xd0\xbd"));
  EXPECT_EQ(accepted("noreason").reason(), "");
}

TEST(TortureValues, inv2543) {
  const Message message = accepted("inv2543");
  EXPECT_EQ(message.from_tag(), "");
  EXPECT_EQ(message.to()->params.get("user"), "phone");
  EXPECT_EQ(message.body().substr(0, 5),
            "v=0\r\n");  // no Content-Length: to the end of the datagram
}

TEST(TortureValues, unknown_schemes_keep_their_text) {
  const Message message = accepted("unksm2");
  EXPECT_EQ(message.to()->uri, "isbn:2983792873");
  EXPECT_EQ(message.from()->uri, "http://www.example.com");
  EXPECT_EQ(accepted("novelsc").request_uri(), "soap.beep://192.0.2.103:3002");
}

TEST(TortureValues, parameters_belong_to_the_header_without_brackets_and_to_the_uri_inside_them) {
  const Message outside = accepted("cparam01"), inside = accepted("cparam02");
  EXPECT_TRUE(outside.contact()->params.has("unknownparam"));
  EXPECT_EQ(outside.contact()->uri, "sip:+19725552222@gw1.example.net");
  EXPECT_FALSE(inside.contact()->params.has("unknownparam"));
  EXPECT_TRUE(Uri::parse(inside.contact()->uri)->params.has("unknownparam"));
  EXPECT_EQ(Uri::parse(accepted("regescrt").contact()->uri)->headers,
            "Route=%3Csip:sip.example.com%3E");
}

TEST(TortureValues, ipv6_references) {
  EXPECT_EQ(Uri::parse(accepted("port-ambiguous").request_uri())->port, 0);
  EXPECT_EQ(Uri::parse(accepted("port-ambiguous").request_uri())->host, "[2001:db8::10:5070]");
  EXPECT_EQ(Uri::parse(accepted("port-unambiguous").request_uri())->port, 5070);
  EXPECT_EQ(accepted("mult-ip-in-header").top_via()->port, 6050);
  const auto received = [](const char* name) {
    return std::string(*accepted(name).top_via()->params.get("received"));
  };
  EXPECT_EQ(received("via-received-param-with-delim"), "[2001:db8::9:255]");
  EXPECT_EQ(received("via-received-param-no-delim"), "2001:db8::9:255");
  EXPECT_EQ(accepted("ipv4-mapped-ipv6").top_via()->host, "[::ffff:192.0.2.10]");
}

}  // namespace
}  // namespace isthmus::sip
