#include "unit/net/net_support.hpp"

#include <gtest/gtest.h>

namespace isthmus::net::test {

bool Loop::run_until(const std::function<bool()>& condition, Duration limit) {
  const Instant end = clock_now() + limit;
  io.restart();
  while (!condition()) {
    if (clock_now() >= end) return false;
    if (io.stopped()) io.restart();
    io.run_one_for(milliseconds(20));
  }
  return true;
}

void Loop::run_for(Duration time) {
  run_until([] { return false; }, time);
}

Peer::Peer(std::unique_ptr<wire::Link> with, bool echoes) : link(std::move(with)), echo(echoes) {
  link->start(*this);
}

void Peer::on_reliable(wire::Channel channel, ByteView bytes) {
  reliable.push_back({channel, std::string(as_text(bytes))});
  if (echo) link->send_reliable(channel, bytes);
  if (on_frame) on_frame();
}

void Peer::on_media(wire::Channel channel, ByteView bytes) {
  media.push_back({channel, std::string(as_text(bytes))});
  if (echo) link->send_media(channel, bytes);
  if (on_frame) on_frame();
}

void Peer::on_closed(wire::CloseCode code, const std::string& reason) {
  EXPECT_FALSE(closed) << "on_closed came twice";
  closed = code;
  close_reason = reason;
}

Server::Server(Loop& loop, bool echoes, link::ListenerOptions options) {
  if (options.bind.port == 443) options.bind = {IpAddress::v4(0x7f000001), 0};
  if (options.certificate.chain_file.empty()) {
    options.certificate.state_directory = directory.path();
  }
  auto opened =
      link::Listener::open(loop.io, options, [this, echoes](std::unique_ptr<wire::Link> link) {
        peers.push_back(std::make_unique<Peer>(std::move(link), echoes));
      });
  EXPECT_TRUE(opened) << opened.error().text;
  if (opened) listener = std::move(*opened);
}

std::string Server::url(const std::string& host) const {
  return "wss://" + host + ":" + std::to_string(listener->local().port);
}

DialOutcome dial(Loop& loop, const std::string& url, const TrustOptions& trust, Duration limit) {
  DialOutcome outcome;
  auto parsed = parse_gateway_url(url);
  auto client = ClientTrust::make(trust);
  EXPECT_TRUE(parsed) << url;
  EXPECT_TRUE(client) << client.error().text;
  if (!parsed || !client) return outcome;
  Dialer dialer(loop.io, *client, {*parsed, "net_test", limit},
                [&outcome](Result<std::unique_ptr<wire::Link>, DialError> result) {
                  if (result) {
                    outcome.link = std::move(*result);
                  } else {
                    outcome.error = result.error();
                  }
                });
  EXPECT_TRUE(loop.run_until([&] { return outcome.link || outcome.error; })) << "no outcome";
  return outcome;
}

std::unique_ptr<Peer> connect(Loop& loop, const Server& server) {
  auto outcome = dial(loop, server.url(), server.trust());
  if (!outcome.link) {
    ADD_FAILURE() << (outcome.error ? outcome.error->text : "no link");
    std::abort();
  }
  return std::make_unique<Peer>(std::move(outcome.link));
}

}  // namespace isthmus::net::test
