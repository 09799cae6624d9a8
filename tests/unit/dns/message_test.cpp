#include "dns/message.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "support/dns_writer.hpp"

namespace isthmus::dns {
namespace {

using test::DnsWriter;

const dns::Question kSrv{dns::Type::srv, "_sip._udp.example.com"};
const dns::Question kNaptr{dns::Type::naptr, "example.com"};
const dns::Question kAddress{dns::Type::a, "a.example.com"};

TEST(DnsMessage, srv_records_come_with_the_shortest_ttl) {
  DnsWriter writer(kSrv);
  writer.srv(kSrv.name, 300, 10, 20, 5060, "A.Example.com").srv(kSrv.name, 60, 20, 0, 5070, "");
  dns::Answer answer = dns::parse_response(kSrv, writer.bytes());
  EXPECT_EQ(dns::Status::found, answer.status);
  EXPECT_EQ(seconds(60), answer.ttl);
  EXPECT_EQ((std::vector<dns::SrvRecord>{{10, 20, 5060, "a.example.com"}, {20, 0, 5070, ""}}),
            answer.srv);
}

TEST(DnsMessage, naptr_records_keep_their_regular_expression) {
  DnsWriter writer(kNaptr);
  writer.naptr("example.com", 60, 10, 100, "U", "E2U+sip", "!^.*$!sip:Info@example.com!", "");
  dns::Answer answer = dns::parse_response(kNaptr, writer.bytes());
  ASSERT_EQ(1u, answer.naptr.size());
  EXPECT_EQ((dns::NaptrRecord{10, 100, "u", "e2u+sip", "!^.*$!sip:Info@example.com!", ""}),
            answer.naptr[0]);
}

TEST(DnsMessage, aliases_are_followed_and_their_ttl_counts) {
  DnsWriter writer(kAddress);
  writer.cname("a.example.com", 20, "b.example.net").a("b.example.net", 90, 0xC0000201);
  dns::Answer answer = dns::parse_response(kAddress, writer.bytes());
  EXPECT_EQ(std::vector<IpAddress>{IpAddress::v4(0xC0000201)}, answer.addresses);
  EXPECT_EQ(seconds(20), answer.ttl);
}

TEST(DnsMessage, records_of_other_names_are_not_ours) {
  DnsWriter writer(kAddress);
  writer.a("evil.example.org", 90, 0xC6336401);
  EXPECT_EQ(dns::Status::none, dns::parse_response(kAddress, writer.bytes()).status);
}

TEST(DnsMessage, none_holds_as_long_as_the_zone_says) {
  DnsWriter writer(kAddress);
  writer.code = 3;
  writer.soa("example.com", 900, 120);
  dns::Answer answer = dns::parse_response(kAddress, writer.bytes());
  EXPECT_EQ(dns::Status::none, answer.status);
  EXPECT_EQ(seconds(120), answer.ttl);
}

TEST(DnsMessage, a_servers_failure_is_a_failure) {
  for (unsigned code : {1u, 2u, 4u, 5u}) {
    DnsWriter writer(kAddress);
    writer.code = code;
    EXPECT_EQ(dns::Status::failed, dns::parse_response(kAddress, writer.bytes()).status) << code;
  }
}

TEST(DnsMessage, a_message_cut_anywhere_is_a_failure_or_less) {
  DnsWriter writer(kSrv);
  writer.srv(kSrv.name, 300, 10, 20, 5060, "a.example.com");
  Bytes whole = writer.bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    dns::Answer answer = dns::parse_response(kSrv, ByteView(whole).first(size));
    EXPECT_EQ(dns::Status::failed, answer.status) << size;
  }
}

TEST(DnsMessage, a_name_that_points_at_itself_ends) {
  Bytes message = DnsWriter(kAddress).bytes();
  message[7] = 1;  // one answer: a pointer to itself
  auto at = static_cast<std::uint8_t>(message.size());
  message.insert(message.end(), {0xC0, at, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1});
  EXPECT_EQ(dns::Status::failed, dns::parse_response(kAddress, message).status);
}

TEST(DnsMessage, a_name_that_is_no_host_name_is_left_out) {
  DnsWriter writer(kSrv);
  writer.srv(kSrv.name, 300, 10, 20, 5060, "a\r\nb.example.com");
  EXPECT_EQ(dns::Status::none, dns::parse_response(kSrv, writer.bytes()).status);
}

TEST(DnsMessage, records_beyond_the_bound_are_left_out) {
  DnsWriter writer(kAddress);
  for (std::uint32_t i = 0; i < 500; ++i) writer.a(kAddress.name, 60, 0x0A000000 + i);
  EXPECT_EQ(limits::kDnsRecords, dns::parse_response(kAddress, writer.bytes()).addresses.size());
}

}  // namespace
}  // namespace isthmus::dns
