#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <utility>

#include "base/time.hpp"
#include "media/port_pool.hpp"
#include "transport/udp_socket.hpp"

namespace isthmus::media {

/// The two sockets of a network stream, bound to a port and the one above it.
struct SocketPair {
  transport::UdpSocket media, control;
  std::uint16_t port = 0;  ///< of `media`, even
};

/// Socket pairs of streams that ended, kept bound for streams to come: to open and close a pair
/// takes some twenty system calls, a good part of what a call costs.
///
/// A pair is taken again once nothing has come to it for a while, so that late packets of an ended
/// call reach no other. Packets that still come are thrown away, and each puts the time off. A pair
/// to which they do not stop coming is closed, and the system tells the sender (ICMP port
/// unreachable). One thread; the readers of the kept sockets are this object's.
class SparePairs {
 public:
  struct Config {
    std::size_t most = 0;       ///< pairs kept at a time; 0: none are
    Duration quiet{};           ///< without a packet before a pair is taken again
    std::size_t late_most = 0;  ///< packets after which a pair is closed
  };
  /// All that is referred to outlives this object.
  /// @param ports gets the ports of pairs that are closed
  /// @param late  counts the packets that are thrown away
  SparePairs(Config config, PortPool& ports, std::uint64_t& late)
      : config_(config), ports_(ports), late_(late) {}
  SparePairs(const SparePairs&) = delete;
  SparePairs& operator=(const SparePairs&) = delete;

  /// Keeps a pair whose stream ended at `now`; closes the longest kept one when there are too many.
  void put(SocketPair pair, bool ipv6, Instant now);
  /// A pair that has been quiet long enough and holds no packet, if there is one. Its sockets must
  /// be given a reader before the io_context runs again.
  std::optional<SocketPair> take(bool ipv6, Instant now);
  /// Closes the longest kept pair, when ports or descriptors run out. @return whether there was one
  bool give_up();

  std::size_t size() const { return kept_[0].size() + kept_[1].size(); }

 private:
  struct Kept;
  using Pairs = std::list<Kept>;  ///< longest quiet first; a reader's address must not move
  std::size_t drain(transport::UdpSocket& socket);
  void on_readable(Kept& kept, transport::UdpSocket& socket);
  void close(Pairs::iterator which);
  Pairs& of_family(bool ipv6) { return kept_[ipv6 ? 1 : 0]; }

  Config config_;
  PortPool& ports_;
  transport::ReceiveBatch batch_{32, 1};  ///< nobody reads what is in it
  std::array<Pairs, 2> kept_;             ///< [1] IPv6
  std::uint64_t& late_;
};

/// One kept pair, and what reads its sockets meanwhile.
struct SparePairs::Kept {
  struct Reader final : transport::UdpReader {
    Reader(Kept& k, transport::UdpSocket& s) : kept(k), socket(s) {}
    void on_readable() override { kept.owner.on_readable(kept, socket); }
    Kept& kept;
    transport::UdpSocket& socket;
  };

  Kept(SparePairs& o, SocketPair p, bool v6, Instant now)
      : owner(o), pair(std::move(p)), ipv6(v6), quiet_since(now) {
    pair.media.start(media_reader);
    pair.control.start(control_reader);
  }

  SparePairs& owner;
  SocketPair pair;
  bool ipv6;
  Instant quiet_since;
  std::size_t late = 0;  ///< packets that came since it was kept
  Pairs::iterator place{};
  Reader media_reader{*this, pair.media}, control_reader{*this, pair.control};
};

/// How many pairs a process may keep: an eighth of the descriptors that it may have, at most
/// limits::kSpareMediaPairs.
std::size_t spare_pairs_allowed();

}  // namespace isthmus::media
