#include "app/run_loop.hpp"

#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <memory>

namespace isthmus::app {

namespace asio = boost::asio;

namespace {

/// Waits for one signal after another.
struct SignalLoop {
  asio::io_context& io;
  std::function<void(std::function<void()>)> drain;
  std::function<void()> reload;
  asio::signal_set signals;
  bool draining = false;

  void wait() {
    signals.async_wait([this](boost::system::error_code error, int number) {
      if (error) return;
      if (number == SIGHUP) {
        reload();
      } else if (draining) {
        io.stop();
        return;
      } else {
        draining = true;
        drain([this] { io.stop(); });
      }
      wait();
    });
  }
};

}  // namespace

void run_until_signal(asio::io_context& io, std::function<void(std::function<void()> done)> drain,
                      std::function<void()> reload) {
  std::signal(SIGPIPE, SIG_IGN);
  SignalLoop loop{io, std::move(drain), std::move(reload),
                  asio::signal_set(io, SIGINT, SIGTERM, SIGHUP)};
  loop.wait();
  io.run();
}

}  // namespace isthmus::app
