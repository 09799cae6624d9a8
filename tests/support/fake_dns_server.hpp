#pragma once
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <string>
#include <vector>

#include "base/text.hpp"
#include "support/dns_writer.hpp"
#include "support/fake_zone.hpp"

namespace isthmus::test {

/// A DNS server on loopback, by UDP alone, that knows what its zone does.
class FakeDnsServer {
 public:
  explicit FakeDnsServer(boost::asio::io_context& io)
      : socket_(io, {boost::asio::ip::address_v4::loopback(), 0}) {
    receive();
  }

  Endpoint endpoint() const { return {IpAddress::v4(0x7F000001), socket_.local_endpoint().port()}; }

  FakeZone zone;
  bool silent = false;
  std::vector<dns::Question> asked;

 private:
  void receive() {
    socket_.async_receive_from(boost::asio::buffer(datagram_), peer_,
                               [this](boost::system::error_code error, std::size_t size) {
                                 if (error == boost::asio::error::operation_aborted) return;
                                 if (!error) on_datagram(size);
                                 receive();
                               });
  }

  void on_datagram(std::size_t size) {
    dns::Question question;
    std::size_t at = 12;
    while (at < size && datagram_[at] != 0) {
      const std::size_t length = datagram_[at++];
      if (!question.name.empty()) question.name += '.';
      for (std::size_t i = 0; i < length && at < size; ++i) {
        question.name += static_cast<char>(datagram_[at++]);
      }
    }
    question.name = to_lower(question.name);  // resolvers may mix cases
    if (at + 2 >= size) return;
    static constexpr std::uint8_t kTypes[] = {1, 28, 33, 35};
    for (std::size_t i = 0; i < 4; ++i) {
      if (datagram_[at + 2] == kTypes[i]) question.type = static_cast<dns::Type>(i);
    }
    asked.push_back(question);
    if (silent) return;
    DnsWriter writer(question, static_cast<std::uint16_t>(datagram_[0] << 8 | datagram_[1]));
    const dns::Answer answer = zone.answer(question);
    const auto ttl = static_cast<std::uint32_t>(answer.ttl.count());
    if (answer.status == dns::Status::failed) writer.code = 2;
    if (answer.status == dns::Status::none) writer.code = 3;
    for (const IpAddress& address : answer.addresses) {
      if (address.is_v4()) writer.a(question.name, ttl, address.v4_host_order());
    }
    for (const dns::SrvRecord& one : answer.srv) {
      writer.srv(question.name, ttl, one.priority, one.weight, one.port, one.target);
    }
    boost::system::error_code ignored;
    socket_.send_to(boost::asio::buffer(writer.bytes()), peer_, 0, ignored);
  }

  boost::asio::ip::udp::socket socket_;
  boost::asio::ip::udp::endpoint peer_;
  std::array<std::uint8_t, 512> datagram_{};
};

}  // namespace isthmus::test
