#pragma once
#include "base/random.hpp"

namespace isthmus::net {

/// Random bytes fit for secrets, from OpenSSL's generator. Unlike other sources it may be shared by
/// threads.
class SystemRandom final : public Random {
 public:
  /// Cannot fail: without entropy the process ends, because a predictable token is worse.
  void fill(MutableBytes out) override;
};

}  // namespace isthmus::net
