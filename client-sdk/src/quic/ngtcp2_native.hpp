#pragma once
// ngtcp2 as this room uses it: what differs between its versions, and its types from ours.
// Included by this room's sources only.
#include <netinet/in.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "base/time.hpp"
#include "quic/connection.hpp"

// Debian 12 has ngtcp2 0.12, Debian 13 has 1.11: names and a few fields moved in between.
#define ISTHMUS_NGTCP2_1 (NGTCP2_VERSION_NUM >= 0x010000)

namespace isthmus::quic {

#if ISTHMUS_NGTCP2_1
using CloseError = ngtcp2_ccerr;
inline constexpr auto& set_library_error = ngtcp2_ccerr_set_liberr;
inline constexpr auto& set_tls_alert = ngtcp2_ccerr_set_tls_alert;
inline constexpr auto& set_application_error = ngtcp2_ccerr_set_application_error;
inline constexpr auto& set_transport_error = ngtcp2_ccerr_set_transport_error;
inline constexpr auto& default_close_error = ngtcp2_ccerr_default;
inline constexpr auto kApplicationClose = NGTCP2_CCERR_TYPE_APPLICATION;
inline CloseError said_by_peer(ngtcp2_conn* conn) {
  return *::ngtcp2_conn_get_ccerr(conn);
}
inline std::string token_of(const ngtcp2_pkt_hd& header) {
  return std::string(as_text({header.token, header.tokenlen}));
}
/// RFC 9443 §4 tells QUIC from media by the bit that RFC 9287 would grease: it must not be offered.
inline void offer_no_greasing(ngtcp2_conn*) {}  // the parameter is not set
inline void mark_original_id(ngtcp2_transport_params& params) {
  params.original_dcid_present = 1;
}
inline constexpr auto kEarlyStreamData = NGTCP2_STREAM_DATA_FLAG_0RTT;
inline constexpr auto& refuse_early_data = ngtcp2_conn_tls_early_data_rejected;
/// What the server allowed, for use with a ticket. Empty: it cannot be kept.
inline Bytes encode_early_params(ngtcp2_conn* conn) {
  Bytes out(256);
  const auto length = ::ngtcp2_conn_encode_0rtt_transport_params(conn, out.data(), out.size());
  out.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  return out;
}
inline bool set_early_params(ngtcp2_conn* conn, ByteView kept) {
  return !kept.empty() &&
         ::ngtcp2_conn_decode_and_set_0rtt_transport_params(conn, kept.data(), kept.size()) == 0;
}
#else
using CloseError = ngtcp2_connection_close_error;
inline constexpr auto& set_library_error = ngtcp2_connection_close_error_set_transport_error_liberr;
inline constexpr auto& set_tls_alert = ngtcp2_connection_close_error_set_transport_error_tls_alert;
inline constexpr auto& set_application_error = ngtcp2_connection_close_error_set_application_error;
inline constexpr auto& set_transport_error = ngtcp2_connection_close_error_set_transport_error;
inline constexpr auto& default_close_error = ngtcp2_connection_close_error_default;
inline constexpr auto kApplicationClose = NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION;
inline CloseError said_by_peer(ngtcp2_conn* conn) {
  CloseError error{};
  ::ngtcp2_conn_get_connection_close_error(conn, &error);
  return error;
}
inline std::string token_of(const ngtcp2_pkt_hd& header) {
  return std::string(as_text({header.token.base, header.token.len}));
}
/// As above; this version offers it whatever the parameter says, unless it is taken back before the
/// handshake.
inline void offer_no_greasing(ngtcp2_conn* conn) {
  const_cast<ngtcp2_transport_params*>(::ngtcp2_conn_get_local_transport_params(conn))
      ->grease_quic_bit = 0;
}
inline void mark_original_id(ngtcp2_transport_params&) {}
inline constexpr auto kEarlyStreamData = NGTCP2_STREAM_DATA_FLAG_EARLY;
inline constexpr auto& refuse_early_data = ngtcp2_conn_early_data_rejected;
/// As above: those of RFC 9000 §7.4.1, in this order.
template <typename Params, typename Visit>
void visit_early_params(Params& params, Visit visit) {
  visit(params.initial_max_data);
  visit(params.initial_max_stream_data_bidi_local);
  visit(params.initial_max_stream_data_bidi_remote);
  visit(params.initial_max_stream_data_uni);
  visit(params.initial_max_streams_bidi);
  visit(params.initial_max_streams_uni);
  visit(params.active_connection_id_limit);
  visit(params.max_datagram_frame_size);
}
inline Bytes encode_early_params(ngtcp2_conn* conn) {
  Bytes out;
  Writer writer(out);
  visit_early_params(*::ngtcp2_conn_get_remote_transport_params(conn),
                     [&](std::uint64_t value) { writer.varint(value); });
  return out;
}
inline bool set_early_params(ngtcp2_conn* conn, ByteView kept) {
  ngtcp2_transport_params params{};
  ::ngtcp2_transport_params_default(&params);
  Reader reader(kept);
  visit_early_params(params, [&](std::uint64_t& value) { value = reader.varint(); });
  if (!reader.ok() || reader.remaining() != 0) return false;
  ::ngtcp2_conn_set_early_remote_transport_params(conn, &params);
  return true;
}
#endif

inline constexpr std::uint32_t kVersion = NGTCP2_PROTO_VER_V1;

inline ngtcp2_tstamp to_ngtcp2(Instant now) {
  return static_cast<ngtcp2_tstamp>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count());
}

inline ngtcp2_duration to_ngtcp2(Duration duration) {
  return static_cast<ngtcp2_duration>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count());
}

inline ngtcp2_cid to_cid(std::string_view id) {
  ngtcp2_cid cid{};
  ::ngtcp2_cid_init(&cid, as_bytes(id).data(), std::min<std::size_t>(id.size(), NGTCP2_MAX_CIDLEN));
  return cid;
}

inline std::string_view view_of(const ngtcp2_cid& cid) {
  return as_text({cid.data, cid.datalen});
}

inline ngtcp2_socklen to_sockaddr(const Endpoint& endpoint, ngtcp2_sockaddr_union& out) {
  out = {};
  if (endpoint.address.is_v4()) {
    out.in.sin_family = AF_INET;
    out.in.sin_port = htons(endpoint.port);
    out.in.sin_addr.s_addr = htonl(endpoint.address.v4_host_order());
    return sizeof out.in;
  }
  out.in6.sin6_family = AF_INET6;
  out.in6.sin6_port = htons(endpoint.port);
  std::ranges::copy(endpoint.address.bytes(), out.in6.sin6_addr.s6_addr);
  return sizeof out.in6;
}

inline Endpoint from_sockaddr(const ngtcp2_addr& from) {
  if (from.addr == nullptr) return {};
  if (from.addr->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, from.addr, sizeof v4);
    return {IpAddress::v4(ntohl(v4.sin_addr.s_addr)), ntohs(v4.sin_port)};
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, from.addr, sizeof v6);
  std::array<std::uint8_t, 16> bytes{};
  std::ranges::copy(v6.sin6_addr.s6_addr, bytes.begin());
  return {IpAddress::v6(bytes), ntohs(v6.sin6_port)};
}

/// A Path in ngtcp2's form. Must stay where it is: the path points into it.
struct NativePath {
  explicit NativePath(const Path& from) {
    path.local = {&local.sa, to_sockaddr(from.local, local)};
    path.remote = {&remote.sa, to_sockaddr(from.remote, remote)};
  }
  NativePath(const NativePath&) = delete;
  NativePath& operator=(const NativePath&) = delete;
  ngtcp2_sockaddr_union local{}, remote{};
  ngtcp2_path path{};
};

}  // namespace isthmus::quic
