#pragma once
// Both ends of real sockets on loopback, driven by one thread and one io_context.
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "link/listener.hpp"
#include "net/clock.hpp"
#include "net/dialer.hpp"
#include "net/websocket_link.hpp"
#include "support/temporary_directory.hpp"

namespace isthmus::net::test {

using isthmus::test::TemporaryDirectory;

/// Runs the io_context until something is so; waits no longer than the limit.
class Loop {
 public:
  boost::asio::io_context io;

  bool run_until(const std::function<bool()>& condition, Duration limit = seconds(20));
  void run_for(Duration time);
};

struct ReceivedFrame {
  wire::Channel channel = 0;
  std::string bytes;
  bool operator==(const ReceivedFrame&) const = default;
};

/// One end of a link: keeps what came, and sends it back if asked to.
class Peer final : public wire::LinkHandler {
 public:
  explicit Peer(std::unique_ptr<wire::Link> with, bool echoes = false);

  void on_reliable(wire::Channel channel, ByteView bytes) override;
  void on_media(wire::Channel channel, ByteView bytes) override;
  void on_closed(wire::CloseCode code, const std::string& reason) override;

  std::unique_ptr<wire::Link> link;
  bool echo;
  std::vector<ReceivedFrame> reliable, media;
  std::optional<wire::CloseCode> closed;
  std::string close_reason;
  std::function<void()> on_frame;  ///< after each frame
};

/// A listener with a self-signed certificate; every link becomes a Peer.
class Server {
 public:
  explicit Server(Loop& loop, bool echoes = false, link::ListenerOptions options = {});

  std::string url(const std::string& host = "127.0.0.1") const;
  std::string pin() const { return listener->certificate().pin; }
  TrustOptions trust() const { return {{}, {pin()}, false}; }

  TemporaryDirectory directory;
  std::unique_ptr<link::Listener> listener;
  std::vector<std::unique_ptr<Peer>> peers;
};

struct DialOutcome {
  std::unique_ptr<wire::Link> link;
  std::optional<DialError> error;
};
DialOutcome dial(Loop& loop, const std::string& url, const TrustOptions& trust,
                 Duration limit = seconds(10));
/// Dials and starts; the test fails when that does not work.
std::unique_ptr<Peer> connect(Loop& loop, const Server& server);

}  // namespace isthmus::net::test
