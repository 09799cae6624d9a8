#include "net/system_random.hpp"

#include <openssl/rand.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace isthmus::net {

void SystemRandom::fill(MutableBytes out) {
  while (!out.empty()) {
    const std::size_t part = std::min<std::size_t>(out.size(), 1 << 20);  // RAND_bytes takes an int
    if (::RAND_bytes(out.data(), static_cast<int>(part)) != 1) {
      std::fputs("isthmus: the system gives no random bytes\n", stderr);
      std::abort();
    }
    out = out.subspan(part);
  }
}

}  // namespace isthmus::net
