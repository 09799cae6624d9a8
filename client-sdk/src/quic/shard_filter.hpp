#pragma once
#include <linux/filter.h>

#include <array>

namespace isthmus::quic {

using ShardFilter = std::array<sock_filter, 10>;

/// Which of several sockets on one UDP port (SO_REUSEPORT, in the order in which they were bound)
/// takes a datagram, as a classic BPF program for SO_ATTACH_REUSEPORT_CBPF: the one whose number is
/// in the first byte of its connection id or media id (LinkServerOptions::shard), wherever the
/// datagram comes from. In a client's first packets that byte is the client's choice, random, and
/// spreads new links evenly.
/// @param shards  1 to 255
ShardFilter shard_filter(unsigned shards);

}  // namespace isthmus::quic
