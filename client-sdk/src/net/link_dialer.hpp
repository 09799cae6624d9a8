#pragma once
#include <memory>

#include "net/dialer.hpp"

namespace isthmus::net {

/// Makes one link of a kind that the URL names. With either kind allowed, UDP has a head start
/// over WebSocket, and the first link that stands is taken; WebSocket starts at once when UDP fails
/// before. Destroying it abandons the attempt. The rules of `done` are Dialer's.
class LinkDialer {
 public:
  LinkDialer(boost::asio::io_context& io, std::shared_ptr<ClientTrust> trust,
             Dialer::Options options, Dialer::Done done);
  ~LinkDialer();
  LinkDialer(const LinkDialer&) = delete;
  LinkDialer& operator=(const LinkDialer&) = delete;

 private:
  struct Race;
  std::shared_ptr<Race> race_;
};

}  // namespace isthmus::net
