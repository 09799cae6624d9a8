// Both sessions against any bytes, in any order, over any time: their promises hold whatever comes.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "base/limits.hpp"
#include "wire/control_codec.hpp"
#include "wire/session.hpp"

using namespace isthmus;
using namespace isthmus::wire;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// Keeps what a session said so far and checks what it says next.
template <typename Session>
class Watched {
 public:
  template <typename... Arguments>
  explicit Watched(Arguments... arguments) : session(arguments...) {}

  template <typename Input>
  void apply(Input input) {
    const bool was_closed = session.closed();
    SessionEvents out;
    input(session, out);
    if (was_closed) require(out.empty());
    for (const SessionEvent& event : out) {
      require(!over_);  // SessionClosed is the last word
      std::visit([this](const auto& body) { this->check(body); }, event);
    }
    require(over_ == session.closed());
    const SessionStatistics statistics = session.statistics();
    waited_ = waited_ || session.detached();
    require(statistics.sip_frames_in == sip_in_);
    require(waited_ ? statistics.sip_frames_out >= sip_out_
                    : statistics.sip_frames_out == sip_out_);
    require(statistics.sip_frames_acked <= statistics.sip_frames_out);
    if (session.closed()) require(!session.next_deadline() && !session.established());
  }

  void pass_time(Instant now) {
    // A deadline once served lies in the future, else its owner's timer would spin.
    apply([&](auto& s, auto& out) { s.on_timeout(now, out); });
    if (session.next_deadline()) require(*session.next_deadline() > now);
  }

  Session session;
  std::vector<SendFrame> sent;

 private:
  void check(const SendFrame& frame) {
    require(frame.channel <= kSipChannel && frame.bytes.size() <= limits::kReliableFrameBytes);
    if (frame.channel == kControlChannel) {
      v1::ControlMessage message;
      require(parse_control(frame.bytes, message));
      require(message.body_case() != v1::ControlMessage::BODY_NOT_SET);
      require(!has_unknown_fields(frame.bytes, message));
    } else {
      require(session.established() && !frame.bytes.empty());
      ++sip_out_;
    }
    if (sent.size() < 64) sent.push_back(frame);
  }
  void check(const AuthenticateHello&) { require(!std::exchange(asked_, true)); }
  void check(const SessionEstablished&) { require(!std::exchange(established_, true)); }
  void check(const SipFrameReceived& sip) {
    require(!sip.bytes.empty() && sip.bytes.size() <= limits::kReliableFrameBytes);
    ++sip_in_;
  }
  void check(const GoAwayReceived& told) {
    require(told.info.gateways.size() <= limits::kGoAwayGateways);
    require(told.info.reason.size() <= limits::kReasonBytes);
    for (const std::string& url : told.info.gateways) {
      require(url.size() <= limits::kGatewayUrlBytes);
    }
  }
  void check(const LinkLost&) { require(session.detached()); }
  void check(const SessionClosed& closed) {
    require(closed.reason.size() <= limits::kReasonBytes);
    require(std::all_of(closed.reason.begin(), closed.reason.end(),
                        [](char c) { return c >= 0x20 && c <= 0x7e; }));
    over_ = true;
  }

  bool over_ = false, waited_ = false, asked_ = false, established_ = false;
  std::uint64_t sip_in_ = 0, sip_out_ = 0;
};

HelloInfo hello(Reader& in) {
  HelloInfo info;
  info.min_version = in.u8() & 3;
  info.max_version = info.min_version + (in.u8() & 3);
  info.credentials = PasswordCredentials{std::string(as_text(in.take(in.u8() & 15))), "x"};
  return info;
}

WelcomeInfo welcome(Reader& in) {
  WelcomeInfo info;
  info.keep_alive_ms = static_cast<std::uint32_t>(in.varint());
  info.user = std::string(as_text(in.take(in.u8() & 15)));
  if (in.u8() % 2 == 0) {
    info.resume_token = "token";
    info.resume_window_ms = in.u16();
  }
  return info;
}

// A well-formed message, so that the input soon gets past the handshake.
Bytes well_formed(Reader& in) {
  v1::ControlMessage message;
  switch (in.u8() % 7) {
    case 0:
      message = to_message(hello(in));
      break;
    case 1:
      message = to_message(welcome(in));
      break;
    case 2:
      message.mutable_ping()->set_clock_ms(in.varint());
      break;
    case 3:
      message.mutable_pong()->set_ping_clock_ms(in.varint());
      break;
    case 4:
      message.mutable_ack()->set_sip_frames(in.varint());
      break;
    case 5:
      message.mutable_reject()->set_retry_after_s(in.u8());
      break;
    default:
      message.mutable_close()->set_code(static_cast<v1::CloseCode>(in.u8()));
      break;
  }
  return serialize_control(message);
}

ByteView any_bytes(Reader& in) {
  return in.take(std::min<std::size_t>(in.varint(), in.remaining()));
}

struct Both {
  Instant now{seconds(1)};
  Watched<ServerSession> server{now};
  Watched<ClientSession> client;

  void deliver(Channel channel, ByteView bytes, bool to_server) {
    const auto input = [&](auto& s, auto& out) { s.on_frame(channel, bytes, now, out); };
    to_server ? server.apply(input) : client.apply(input);
  }
  void cross(bool to_server) {  // what one end said reaches the other
    auto& queue = to_server ? client.sent : server.sent;
    if (queue.empty()) return;
    const SendFrame frame = queue.front();
    queue.erase(queue.begin());
    deliver(frame.channel, frame.bytes, to_server);
  }
  void step(Reader& in) {
    const std::uint8_t what = in.u8();
    const bool to_server = what & 0x80;
    const auto either = [&](auto input) { to_server ? server.apply(input) : client.apply(input); };
    switch (what & 0x0f) {
      case 0:
        return deliver(in.u8() % 18, any_bytes(in), to_server);
      case 1:
        return deliver(kControlChannel, any_bytes(in), to_server);
      case 2:
        return deliver(kControlChannel, well_formed(in), to_server);
      case 3:
        return deliver(kSipChannel, any_bytes(in), to_server);
      case 4:
        return cross(to_server);
      case 5:
        now += milliseconds(in.u16());
        break;
      case 6:
        return to_server ? server.pass_time(now) : client.pass_time(now);
      case 7:
        return client.apply([&](auto& s, auto& out) { s.start(hello(in), now, out); });
      case 8:
        return server.apply([&](auto& s, auto& out) { s.accept(welcome(in), now, out); });
      case 9:
        return server.apply([&](auto& s, auto& out) {
          s.reject(CloseCode::unauthorized, as_text(any_bytes(in)), in.u8(), out);
        });
      case 10:
        return either([&](auto& s, auto& out) { s.send_sip(any_bytes(in), out); });
      case 11:
        return either(
            [&](auto& s, auto& out) { s.close(CloseCode::normal, as_text(any_bytes(in)), out); });
      case 12:
        return either([&](auto& s, auto& out) {
          const Channel channel = 16 + in.u8() % 4;
          const Bytes bytes = to_bytes(any_bytes(in));
          if (in.u8() % 2 == 0) {
            s.read_media(channel, bytes, now, out);
          } else {
            s.write_media(channel, bytes, now, out);
          }
        });
      case 13:
        return either([&](auto& s, auto& out) {
          s.on_link_lost(static_cast<CloseCode>(in.u8() % 14), as_text(any_bytes(in)), now, out);
        });
      default: {  // to the next deadline of either
        const auto deadline =
            to_server ? server.session.next_deadline() : client.session.next_deadline();
        if (deadline) now = std::max(now, *deadline);
      }
    }
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Both both;
  Reader in({data, size});
  for (int steps = 0; in.ok() && in.remaining() > 0 && steps < 2000; ++steps) both.step(in);
  return 0;
}
