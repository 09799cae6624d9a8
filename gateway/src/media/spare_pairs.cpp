#include "media/spare_pairs.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/limits.hpp"

namespace isthmus::media {

void SparePairs::put(SocketPair pair, bool ipv6, Instant now) {
  if (config_.most == 0) {
    ports_.put_back(pair.port);
    return;
  }
  if (size() >= config_.most) give_up();
  Pairs& pairs = of_family(ipv6);
  pairs.emplace_back(*this, std::move(pair), ipv6, now);
  pairs.back().place = std::prev(pairs.end());
}

std::optional<SocketPair> SparePairs::take(bool ipv6, Instant now) {
  Pairs& pairs = of_family(ipv6);
  while (!pairs.empty() && now - pairs.front().quiet_since >= config_.quiet) {
    Kept& first = pairs.front();
    // What came since the io_context last ran has not been reported yet.
    const std::size_t waiting = drain(first.pair.media) + drain(first.pair.control);
    if (waiting == 0) {
      SocketPair pair = std::move(first.pair);
      pairs.pop_front();
      return pair;
    }
    first.quiet_since = now;
    pairs.splice(pairs.end(), pairs, pairs.begin());
  }
  return std::nullopt;
}

bool SparePairs::give_up() {
  if (size() == 0) return false;
  const bool v6 = kept_[0].empty() || (!kept_[1].empty() &&
                                       kept_[1].front().quiet_since < kept_[0].front().quiet_since);
  close(of_family(v6).begin());
  return true;
}

void SparePairs::close(Pairs::iterator which) {
  ports_.put_back(which->pair.port);
  of_family(which->ipv6).erase(which);
}

/// @return how many packets were thrown away
std::size_t SparePairs::drain(transport::UdpSocket& socket) {
  std::size_t count = 0;
  for (int round = 0; round < limits::kMediaBatchesPerTurn; ++round) {
    const int received = socket.receive(batch_);
    if (received == -EAGAIN) break;
    if (received > 0) count += static_cast<std::size_t>(received);
    if (received > 0 && static_cast<std::size_t>(received) < batch_.size()) break;
  }
  late_ += count;
  return count;
}

void SparePairs::on_readable(Kept& kept, transport::UdpSocket& socket) {
  const std::size_t count = drain(socket);
  if (count == 0) return;
  kept.late += count;
  if (kept.late > config_.late_most) return close(kept.place);  // and `kept` is gone
  kept.quiet_since = std::chrono::steady_clock::now();
  Pairs& pairs = of_family(kept.ipv6);
  pairs.splice(pairs.end(), pairs, kept.place);
}

std::size_t spare_pairs_allowed() {
  rlimit descriptors{};
  if (::getrlimit(RLIMIT_NOFILE, &descriptors) != 0) return 0;
  constexpr rlim_t kOnePairOf = 16;  // two descriptors, of an eighth of all
  return std::min<rlim_t>(limits::kSpareMediaPairs, descriptors.rlim_cur / kOnePairOf);
}

}  // namespace isthmus::media
