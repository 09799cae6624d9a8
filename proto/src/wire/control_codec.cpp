#include "wire/control_codec.hpp"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/common.h>
#if GOOGLE_PROTOBUF_VERSION < 4022000
#include <google/protobuf/stubs/logging.h>
#endif

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace isthmus::wire {

namespace {

// Text that is not UTF-8 makes the library write to stderr; a remote party must not be able to
// cause that.
struct Quiet {
#if GOOGLE_PROTOBUF_VERSION < 4022000
  google::protobuf::LogSilencer silencer;
#endif
  Quiet() {}
};

}  // namespace

bool parse_control(ByteView bytes, v1::ControlMessage& message) {
  const Quiet quiet;
  if (bytes.size() > limits::kReliableFrameBytes) return false;
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

Bytes serialize_control(const v1::ControlMessage& message) {
  const Quiet quiet;
  Bytes out(message.ByteSizeLong());
  message.SerializeWithCachedSizesToArray(out.data());
  return out;
}

namespace {

using google::protobuf::io::CodedInputStream;
using Body = v1::ControlMessage::BodyCase;

// Highest field number of each message that this version reads; their numbers have no gaps.
std::uint32_t last_field(Body body) {
  switch (body) {
    case Body::kHello:
      return v1::Hello::kInstanceFieldNumber;
    case Body::kWelcome:
      return v1::Welcome::kSipFramesBeforeFieldNumber;
    case Body::kReject:
      return v1::Reject::kRetryAfterSFieldNumber;
    case Body::kPing:
      return v1::Ping::kPaddingFieldNumber;
    case Body::kPong:
      return v1::Pong::kPaddingFieldNumber;
    case Body::kAck:
      return v1::Ack::kSipFramesFieldNumber;
    case Body::kMediaContext:
      return v1::MediaContext::kPacketsPerSecondFieldNumber;
    case Body::kMediaContextAck:
      return v1::MediaContextAck::kGenerationFieldNumber;
    case Body::kGoAway:
      return v1::GoAway::kReasonFieldNumber;
    case Body::kClose:
      return v1::Close::kReasonFieldNumber;
    default:
      return UINT32_MAX;
  }
}

// Skips a field's value (protobuf encoding, wire types). @return false at the first thing we cannot
// skip.
bool skip_value(CodedInputStream& in, std::uint32_t tag) {
  std::uint64_t number = 0;
  switch (tag & 7) {
    case 0:
      return in.ReadVarint64(&number);
    case 1:
      return in.Skip(8);
    case 2:
      return in.ReadVarint64(&number) && number <= INT32_MAX && in.Skip(static_cast<int>(number));
    case 5:
      return in.Skip(4);
    default:
      return false;  // groups: nobody's schema here has them, so it is an unknown field
  }
}

}  // namespace

// The lite library keeps unknown fields but does not tell of them, so the tags are read once more.
bool has_unknown_fields(ByteView bytes, const v1::ControlMessage& message) {
  if (message.body_case() == Body::BODY_NOT_SET)
    return false;  // counted as an unknown message instead
  CodedInputStream in(bytes.data(), static_cast<int>(bytes.size()));
  while (const std::uint32_t tag = in.ReadTag()) {
    if (tag >> 3 > v1::ControlMessage::kCloseFieldNumber) return true;
    if ((tag & 7) != 2) return true;
    std::uint32_t length = 0;
    if (!in.ReadVarint32(&length)) return true;
    const auto limit = in.PushLimit(static_cast<int>(length));
    const std::uint32_t last = last_field(static_cast<Body>(tag >> 3));
    while (const std::uint32_t inner = in.ReadTag()) {
      if (inner >> 3 > last || !skip_value(in, inner)) return true;
    }
    in.PopLimit(limit);
  }
  return false;
}

v1::ControlMessage to_message(const HelloInfo& info) {
  v1::ControlMessage message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_min_version(info.min_version);
  hello.set_max_version(info.max_version);
  hello.set_software(info.software);
  if (const auto* password = std::get_if<PasswordCredentials>(&info.credentials)) {
    hello.mutable_password()->set_user(password->user);
    hello.mutable_password()->set_password(password->password);
  } else if (const auto* token = std::get_if<TokenCredentials>(&info.credentials)) {
    hello.set_token(token->token);
  } else if (const auto* resume = std::get_if<ResumeCredentials>(&info.credentials)) {
    hello.mutable_resume()->set_token(resume->token);
    hello.mutable_resume()->set_sip_frames(resume->sip_frames);
  }
  for (const std::string& capability : info.capabilities) hello.add_capabilities(capability);
  hello.set_instance(info.instance);
  hello.set_media_id(info.media_id);
  return message;
}

v1::ControlMessage to_message(const WelcomeInfo& info) {
  v1::ControlMessage message;
  v1::Welcome& welcome = *message.mutable_welcome();
  welcome.set_version(info.version);
  welcome.set_session_id(info.session_id);
  welcome.set_observed_address(info.observed_address);
  welcome.set_keep_alive_ms(info.keep_alive_ms);
  welcome.mutable_limits()->set_channels(info.max_channels);
  welcome.mutable_limits()->set_reliable_frame_bytes(limits::kReliableFrameBytes);
  welcome.mutable_limits()->set_media_frame_bytes(limits::kMediaFrameBytes);
  welcome.set_sip_domain(info.sip_domain);
  welcome.set_user(info.user);
  welcome.set_media_id(info.media_id);
  welcome.set_software(info.software);
  for (const std::string& capability : info.capabilities) welcome.add_capabilities(capability);
  welcome.set_resume_token(info.resume_token);
  welcome.set_resume_window_ms(info.resume_window_ms);
  welcome.set_sip_frames(info.sip_frames);
  welcome.set_sip_frames_before(info.sip_frames_before);
  return message;
}

std::optional<HelloInfo> to_info(const v1::Hello& hello) {
  HelloInfo info;
  info.min_version = hello.min_version();
  info.max_version = hello.max_version();
  info.software = hello.software();
  switch (hello.credentials_case()) {
    case v1::Hello::kPassword:
      info.credentials = PasswordCredentials{hello.password().user(), hello.password().password()};
      break;
    case v1::Hello::kToken:
      info.credentials = TokenCredentials{hello.token()};
      break;
    case v1::Hello::kResume:
      info.credentials = ResumeCredentials{hello.resume().token(), hello.resume().sip_frames()};
      break;
    default:
      return std::nullopt;
  }
  info.capabilities.assign(hello.capabilities().begin(), hello.capabilities().end());
  info.instance = hello.instance();
  info.media_id = hello.media_id();
  return info;
}

WelcomeInfo to_info(const v1::Welcome& welcome) {
  WelcomeInfo info;
  info.version = welcome.version();
  info.session_id = welcome.session_id();
  info.software = welcome.software();
  info.user = welcome.user();
  info.sip_domain = welcome.sip_domain();
  info.observed_address = welcome.observed_address();
  info.keep_alive_ms = welcome.keep_alive_ms();
  info.max_channels = welcome.limits().channels();
  info.media_id = welcome.media_id();
  info.capabilities.assign(welcome.capabilities().begin(), welcome.capabilities().end());
  info.resume_token = welcome.resume_token();
  info.resume_window_ms = welcome.resume_window_ms();
  info.sip_frames = welcome.sip_frames();
  info.sip_frames_before = welcome.sip_frames_before();
  return info;
}

v1::ControlMessage to_message(const GoAwayInfo& info) {
  v1::ControlMessage message;
  v1::GoAway& body = *message.mutable_go_away();
  body.set_deadline_ms(
      static_cast<std::uint32_t>(std::chrono::duration_cast<milliseconds>(info.deadline).count()));
  for (const std::string& gateway : info.gateways) body.add_gateways(gateway);
  body.set_reason(printable(info.reason));
  return message;
}

GoAwayInfo to_info(const v1::GoAway& message) {
  GoAwayInfo info;
  info.deadline = milliseconds(message.deadline_ms());
  for (const std::string& gateway : message.gateways()) {
    if (info.gateways.size() == limits::kGoAwayGateways) break;
    if (gateway.size() <= limits::kGatewayUrlBytes) info.gateways.push_back(gateway);
  }
  info.reason = printable(message.reason());
  return info;
}

v1::ControlMessage to_message(const CompactContext& context) {
  v1::ControlMessage message;
  v1::MediaContext& body = *message.mutable_media_context();
  body.set_channel(context.channel);
  body.set_context(context.id);
  body.set_ssrc(context.ssrc);
  body.set_payload_type(context.payload_type);
  body.set_timestamp_step(context.timestamp_step);
  body.set_base_sequence(context.base_sequence);
  body.set_base_timestamp(context.base_timestamp);
  body.set_generation(context.generation);
  body.set_packets_per_second(context.packets_per_second);
  return message;
}

v1::ControlMessage to_message(const CompactAnswer& answer) {
  v1::ControlMessage message;
  v1::MediaContextAck& body = *message.mutable_media_context_ack();
  body.set_channel(answer.channel);
  body.set_context(answer.id);
  body.set_accepted(answer.accepted);
  body.set_generation(answer.generation);
  return message;
}

CompactContext to_context(const v1::MediaContext& message) {
  CompactContext context;
  context.channel = message.channel();
  context.id = message.context();
  context.generation = message.generation();
  context.ssrc = message.ssrc();
  context.payload_type = message.payload_type();
  context.timestamp_step = message.timestamp_step();
  context.base_sequence = message.base_sequence();
  context.base_timestamp = message.base_timestamp();
  context.packets_per_second = message.packets_per_second();
  return context;
}

CompactAnswer to_answer(const v1::MediaContextAck& message) {
  return {message.channel(), message.context(), message.generation(), message.accepted()};
}

bool has_capability(const std::vector<std::string>& capabilities, std::string_view name) {
  return std::find(capabilities.begin(), capabilities.end(), name) != capabilities.end();
}

void announce(std::vector<std::string>& capabilities, const std::string& name, bool can) {
  std::erase(capabilities, name);
  if (can) capabilities.push_back(name);
}

CloseCode to_close_code(v1::CloseCode code) {
  return v1::CloseCode_IsValid(code) ? static_cast<CloseCode>(code) : CloseCode::internal_error;
}

v1::CloseCode to_wire(CloseCode code) {
  return static_cast<v1::CloseCode>(code);
}

std::string printable(std::string_view text) {
  return printable_ascii(text.substr(0, limits::kReasonBytes));
}

}  // namespace isthmus::wire
