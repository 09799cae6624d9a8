#pragma once
#include <memory>

#include "net/dialer.hpp"

namespace isthmus::net {

/// Makes one UDP link: resolves the name, tries its addresses in order, shakes hands (QUIC, TLS
/// 1.3). Destroying it abandons the attempt. The rules of `done` are Dialer's.
class UdpDialer {
 public:
  UdpDialer(boost::asio::io_context& io, std::shared_ptr<ClientTrust> trust,
            Dialer::Options options, Dialer::Done done);
  ~UdpDialer();
  UdpDialer(const UdpDialer&) = delete;
  UdpDialer& operator=(const UdpDialer&) = delete;

 private:
  struct Attempt;
  std::shared_ptr<Attempt> attempt_;
};

}  // namespace isthmus::net
