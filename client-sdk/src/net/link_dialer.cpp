#include "net/link_dialer.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>
#include <utility>

#include "net/udp_dialer.hpp"

namespace isthmus::net {

namespace asio = boost::asio;
using boost::system::error_code;

struct LinkDialer::Race : std::enable_shared_from_this<Race> {
  using Result = isthmus::Result<std::unique_ptr<wire::Link>, DialError>;

  Race(asio::io_context& context, std::shared_ptr<ClientTrust> client_trust, Dialer::Options with,
       Dialer::Done then)
      : io(context),
        trust(std::move(client_trust)),
        options(std::move(with)),
        done(std::move(then)),
        head_start(context) {}

  void start();
  void start_websocket();
  void on_udp(Result result);
  void on_websocket(Result result);
  void finish(Result result);
  void abandon();

  asio::io_context& io;
  std::shared_ptr<ClientTrust> trust;
  Dialer::Options options;
  Dialer::Done done;
  asio::steady_timer head_start;
  std::unique_ptr<UdpDialer> udp;
  std::unique_ptr<Dialer> websocket;
  std::optional<DialError> udp_error, websocket_error;
  bool over = false;
};

void LinkDialer::Race::start() {
  if (options.url.kinds == LinkKinds::websocket) return start_websocket();
  udp = std::make_unique<UdpDialer>(io, trust, options, [weak = weak_from_this()](Result result) {
    if (const auto self = weak.lock()) self->on_udp(std::move(result));
  });
  if (options.url.kinds == LinkKinds::udp) return;
  head_start.expires_after(options.udp_head_start);
  head_start.async_wait([weak = weak_from_this()](const error_code& error) {
    const auto self = weak.lock();
    if (!error && self && !self->over) self->start_websocket();
  });
}

void LinkDialer::Race::start_websocket() {
  if (websocket || websocket_error) return;
  websocket =
      std::make_unique<Dialer>(io, trust, options, [weak = weak_from_this()](Result result) {
        if (const auto self = weak.lock()) self->on_websocket(std::move(result));
      });
}

void LinkDialer::Race::on_udp(Result result) {
  if (over) return;
  if (result || options.url.kinds == LinkKinds::udp) return finish(std::move(result));
  udp_error = result.error();
  if (websocket_error) return finish(*websocket_error);
  head_start.cancel();
  start_websocket();
}

void LinkDialer::Race::on_websocket(Result result) {
  if (over) return;
  if (result || !udp || udp_error) return finish(std::move(result));
  websocket_error = result.error();  // UDP may still come
}

void LinkDialer::Race::finish(Result result) {
  if (over) return;
  over = true;
  head_start.cancel();
  // The loser goes; the winner's dialer is in the midst of telling, and may.
  const auto losers = std::pair(std::move(udp), std::move(websocket));
  if (Dialer::Done then = std::exchange(done, nullptr)) then(std::move(result));
}

void LinkDialer::Race::abandon() {
  over = true;
  head_start.cancel();
  udp.reset();
  websocket.reset();
}

LinkDialer::LinkDialer(asio::io_context& io, std::shared_ptr<ClientTrust> trust,
                       Dialer::Options options, Dialer::Done done)
    : race_(std::make_shared<Race>(io, std::move(trust), std::move(options), std::move(done))) {
  race_->start();
}

LinkDialer::~LinkDialer() {
  race_->abandon();
}

}  // namespace isthmus::net
