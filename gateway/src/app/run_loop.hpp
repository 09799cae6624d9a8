#pragma once
#include <boost/asio/io_context.hpp>
#include <functional>

namespace isthmus::app {

/// Runs the io_context until SIGINT or SIGTERM; then `drain` is told, and when it calls its
/// argument the loop ends. A second signal ends it at once. SIGHUP calls `reload`.
void run_until_signal(boost::asio::io_context& io,
                      std::function<void(std::function<void()> done)> drain,
                      std::function<void()> reload);

}  // namespace isthmus::app
