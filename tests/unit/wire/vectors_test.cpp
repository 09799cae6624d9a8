// The byte-exact examples of proto/vectors against our own reading and writing, both ways.
#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>

#include "base/limits.hpp"
#include "session_support.hpp"
#include "vector_file.hpp"

namespace isthmus::wire {
namespace {

using namespace testing;
using Facts = std::vector<std::string>;
using v1::ControlMessage;

std::uint64_t number(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  EXPECT_TRUE(error == std::errc{} && end == text.data() + text.size()) << text;
  return value;
}

// Codes by their names in CloseCode; one that has none is its number.
std::string code_text(v1::CloseCode code) {
  if (!v1::CloseCode_IsValid(code)) return std::to_string(static_cast<int>(code));
  return to_text(to_close_code(code));
}
v1::CloseCode code_value(const std::string& text) {
  for (int i = v1::CloseCode_MIN; i <= v1::CloseCode_MAX; ++i) {
    if (code_text(static_cast<v1::CloseCode>(i)) == text) return static_cast<v1::CloseCode>(i);
  }
  return static_cast<v1::CloseCode>(number(text));
}

// How one field is written as facts and read from one.
struct Field {
  std::string path;
  std::function<Facts(const ControlMessage&)> get;  ///< the values, none when it has its default
  std::function<void(ControlMessage&, const std::string&)> set;
};

#define NUMBER_FIELD(BODY, FIELD)                                                           \
  Field {                                                                                   \
#BODY "." #FIELD,                                                                         \
        [](const ControlMessage& m) {                                                         \
          return m.BODY().FIELD() == 0 ? Facts{} : Facts{std::to_string(m.BODY().FIELD())};   \
        },                                                                                    \
        [](ControlMessage& m, const std::string& text) {                                      \
          m.mutable_##BODY()->set_##FIELD(static_cast<decltype(m.BODY().FIELD())>(number(text))); \
        } \
  }
#define TEXT_FIELD(BODY, FIELD)                                                             \
  Field {                                                                                   \
#BODY "." #FIELD,                                                                         \
        [](const ControlMessage& m) {                                                         \
          return m.BODY().FIELD().empty() ? Facts{} : Facts{m.BODY().FIELD()};                \
        },                                                                                    \
        [](ControlMessage& m, const std::string& text) { m.mutable_##BODY()->set_##FIELD(text); } \
  }
#define LIST_FIELD(BODY, FIELD)                                                             \
  Field {                                                                                   \
#BODY "." #FIELD,                                                                         \
        [](const ControlMessage& m) {                                                         \
          return Facts(m.BODY().FIELD().begin(), m.BODY().FIELD().end());                     \
        },                                                                                    \
        [](ControlMessage& m, const std::string& text) { m.mutable_##BODY()->add_##FIELD(text); } \
  }
#define CODE_FIELD(BODY)                                                                    \
  Field {                                                                                   \
#BODY ".code",                                                                            \
        [](const ControlMessage& m) {                                                         \
          return m.BODY().code() == 0 ? Facts{} : Facts{code_text(m.BODY().code())};          \
        },                                                                                    \
        [](ControlMessage& m, const std::string& text) {                                      \
          m.mutable_##BODY()->set_code(code_value(text));                                     \
        } \
  }
#define INNER_NUMBER_FIELD(BODY, INNER, FIELD)                                              \
  Field {                                                                                   \
#BODY "." #INNER "." #FIELD,                                                              \
        [](const ControlMessage& m) {                                                         \
          const auto value = m.BODY().INNER().FIELD();                                        \
          return value == 0 ? Facts{} : Facts{std::to_string(value)};                         \
        },                                                                                    \
        [](ControlMessage& m, const std::string& text) {                                      \
          m.mutable_##BODY()->mutable_##INNER()->set_##FIELD(                                 \
              static_cast<std::uint32_t>(number(text)));                                      \
        } \
  }
#define INNER_TEXT_FIELD(BODY, INNER, FIELD)                                                \
  Field {                                                                                   \
#BODY "." #INNER "." #FIELD,                                                              \
        [](const ControlMessage& m) {                                                         \
          const std::string& value = m.BODY().INNER().FIELD();                                \
          return value.empty() ? Facts{} : Facts{value};                                      \
        },                                                                                    \
        [](ControlMessage& m, const std::string& text) {                                      \
          m.mutable_##BODY()->mutable_##INNER()->set_##FIELD(text);                           \
        } \
  }

// Every field that sessions of this version write or read, in the order of the schema.
const std::vector<Field>& fields() {
  static const std::vector<Field> all{
      NUMBER_FIELD(hello, min_version),
      NUMBER_FIELD(hello, max_version),
      TEXT_FIELD(hello, software),
      TEXT_FIELD(hello, token),
      INNER_TEXT_FIELD(hello, password, user),
      INNER_TEXT_FIELD(hello, password, password),
      INNER_TEXT_FIELD(hello, resume, token),
      INNER_NUMBER_FIELD(hello, resume, sip_frames),
      LIST_FIELD(hello, capabilities),
      TEXT_FIELD(hello, instance),
      NUMBER_FIELD(welcome, version),
      NUMBER_FIELD(welcome, session_id),
      TEXT_FIELD(welcome, resume_token),
      NUMBER_FIELD(welcome, resume_window_ms),
      TEXT_FIELD(welcome, observed_address),
      NUMBER_FIELD(welcome, keep_alive_ms),
      INNER_NUMBER_FIELD(welcome, limits, channels),
      INNER_NUMBER_FIELD(welcome, limits, reliable_frame_bytes),
      INNER_NUMBER_FIELD(welcome, limits, media_frame_bytes),
      TEXT_FIELD(welcome, sip_domain),
      TEXT_FIELD(welcome, user),
      TEXT_FIELD(welcome, software),
      LIST_FIELD(welcome, capabilities),
      NUMBER_FIELD(welcome, sip_frames),
      NUMBER_FIELD(welcome, sip_frames_before),
      CODE_FIELD(reject),
      TEXT_FIELD(reject, reason),
      NUMBER_FIELD(reject, retry_after_s),
      NUMBER_FIELD(ping, clock_ms),
      NUMBER_FIELD(ping, hold_ms),
      NUMBER_FIELD(pong, ping_clock_ms),
      NUMBER_FIELD(pong, clock_ms),
      NUMBER_FIELD(pong, held_ms),
      NUMBER_FIELD(ack, sip_frames),
      NUMBER_FIELD(media_context, channel),
      NUMBER_FIELD(media_context, context),
      NUMBER_FIELD(media_context, ssrc),
      NUMBER_FIELD(media_context, payload_type),
      NUMBER_FIELD(media_context, timestamp_step),
      NUMBER_FIELD(media_context, base_sequence),
      NUMBER_FIELD(media_context, base_timestamp),
      NUMBER_FIELD(media_context, generation),
      NUMBER_FIELD(media_context, packets_per_second),
      NUMBER_FIELD(media_context_ack, channel),
      NUMBER_FIELD(media_context_ack, context),
      NUMBER_FIELD(media_context_ack, accepted),
      NUMBER_FIELD(media_context_ack, generation),
      NUMBER_FIELD(go_away, deadline_ms),
      LIST_FIELD(go_away, gateways),
      TEXT_FIELD(go_away, reason),
      CODE_FIELD(close),
      TEXT_FIELD(close, reason),
  };
  return all;
}

// What a receiver makes of a control frame.
Facts control_facts(ByteView bytes) {
  ControlMessage message;
  if (!parse_control(bytes, message)) return {"error = malformed_control"};
  Facts facts;
  for (const Field& field : fields()) {
    for (const std::string& value : field.get(message)) facts.push_back(field.path + " = " + value);
  }
  if (facts.empty() && message.has_ping()) facts.emplace_back("ping = (empty)");
  if (facts.empty()) facts.emplace_back("unknown = message");
  if (has_unknown_fields(bytes, message)) facts.emplace_back("unknown = field");
  return facts;
}

ControlMessage control_of(const Facts& facts) {
  ControlMessage message;
  for (const std::string& fact : facts) {
    const auto middle = fact.find(" = ");
    const std::string path = fact.substr(0, middle), value = fact.substr(middle + 3);
    if (fact == "ping = (empty)") {
      message.mutable_ping();
      continue;
    }
    const auto field = std::find_if(fields().begin(), fields().end(),
                                    [&](const Field& candidate) { return candidate.path == path; });
    if (field == fields().end()) {
      ADD_FAILURE() << "no such field: " << path;
    } else {
      field->set(message, value);
    }
  }
  return message;
}

// What FrameReader makes of a message, in the words of the vector files.
Facts frame_facts(ByteView message) {
  static const std::map<FrameError, std::string> kNames{
      {FrameError::truncated, "truncated"},
      {FrameError::too_large, "too_large"},
      {FrameError::reserved_channel, "reserved_channel"},
      {FrameError::channel_out_of_range, "channel_out_of_range"},
      {FrameError::empty, "empty"}};
  Facts facts;
  FrameReader reader(message);
  while (const auto frame = reader.next()) {
    facts.push_back("frame = " + std::to_string(frame->channel) + " " + to_hex(frame->bytes));
  }
  if (reader.error()) facts.push_back("error = " + kNames.at(*reader.error()));
  return facts;
}

Bytes message_of(const Facts& facts) {
  Bytes out;
  MediaWriter writer(out, limits::kReliableFrameBytes);
  for (const std::string& fact : facts) {
    const auto space = fact.find(' ', 8);
    const auto channel = static_cast<Channel>(number(fact.substr(8, space - 8)));
    const auto bytes = from_hex(fact.substr(space + 1));
    if (!bytes) {
      ADD_FAILURE() << fact;
    } else if (channel >= limits::kFirstMediaChannel) {
      EXPECT_TRUE(writer.add(channel, *bytes)) << fact;
    } else {
      EXPECT_FALSE(write_reliable(channel, *bytes, out)) << fact;
    }
  }
  return out;
}

TEST(Vectors, control_messages_both_ways) {
  for (const std::string file : {"control.txt", "control_decode.txt"}) {
    for (const Vector& vector : read_vectors(file)) {
      SCOPED_TRACE(file + " " + vector.name);
      FrameReader reader(vector.message);
      const auto frame = reader.next();
      ASSERT_TRUE(frame);
      EXPECT_EQ(frame->channel, kControlChannel);
      EXPECT_EQ(control_facts(frame->bytes), vector.facts);
      if (vector.decode_only) continue;
      Bytes message;
      ASSERT_FALSE(
          write_reliable(kControlChannel, serialize_control(control_of(vector.facts)), message));
      EXPECT_EQ(to_hex(message), to_hex(vector.message));
    }
  }
}

TEST(Vectors, frames_both_ways) {
  for (const std::string file : {"reliable.txt", "media.txt", "errors.txt"}) {
    for (const Vector& vector : read_vectors(file)) {
      SCOPED_TRACE(file + " " + vector.name);
      EXPECT_EQ(frame_facts(vector.message), vector.facts);
      if (vector.decode_only) continue;
      EXPECT_EQ(to_hex(message_of(vector.facts)), to_hex(vector.message));
    }
  }
}

Bytes body(const std::string& name) {
  for (const Vector& vector : read_vectors("control.txt")) {
    if (vector.name == name) return {vector.message.begin() + 1, vector.message.end()};
  }
  ADD_FAILURE() << "no vector " << name;
  return {};
}

Bytes sent(const SessionEvents& events) {
  const auto* frame = find<SendFrame>(events);
  EXPECT_NE(frame, nullptr);
  return frame != nullptr ? frame->bytes : Bytes{};
}

// The sessions themselves, not only the encoder, say exactly these bytes.
TEST(Vectors, sessions_say_these_bytes) {
  const Instant now{seconds(5)};
  SessionEvents out;
  ClientSession client;
  client.start(hello_info(), now, out);
  EXPECT_EQ(sent(out), body("hello_with_password"));

  ServerSession server(now);
  server.on_frame(kControlChannel, body("hello_with_token"), now, out = {});
  WelcomeInfo welcome = welcome_info();
  welcome.session_id = 72623859790382856;
  welcome.software = "example-gateway/1.0";
  server.accept(welcome, now, out = {});
  EXPECT_EQ(sent(out), body("welcome"));
  client.on_frame(kControlChannel, body("welcome"), now, out = {});
  client.on_timeout(now + seconds(15), out = {});
  EXPECT_EQ(sent(out), body("ping"));
  client.close(CloseCode::normal, "phone switched off", out = {});
  EXPECT_EQ(sent(out), body("close_normal"));

  for (int i = 0; i < 300; ++i) server.on_frame(kSipChannel, sip(), now, out = {});
  server.on_timeout(now + limits::kAckDelay, out = {});
  EXPECT_EQ(sent(out), body("ack"));

  server.go_away({seconds(30), {"wss://b.example", "wss://c.example:8443"}, "maintenance"},
                 out = {});
  EXPECT_EQ(sent(out), body("go_away"));

  ServerSession strict(now);
  strict.on_frame(kControlChannel, hello_versions(2, 2), now, out = {});
  EXPECT_EQ(sent(out), body("reject_version_mismatch"));
  ServerSession judge(now);
  judge.on_frame(kControlChannel, body("hello_utf8_user"), now, out = {});
  judge.reject(CloseCode::unauthorized, "wrong user or password", 30, out = {});
  EXPECT_EQ(sent(out), body("reject_unauthorized"));
}

TEST(Vectors, close_codes_of_schema_and_code_are_the_same) {
  for (int i = v1::CloseCode_MIN; i <= v1::CloseCode_MAX; ++i) {
    std::string name = v1::CloseCode_Name(static_cast<v1::CloseCode>(i));
    std::string expected = "CLOSE_CODE_";
    for (const char* c = to_text(static_cast<CloseCode>(i)); *c != '\0'; ++c) {
      expected.push_back(*c >= 'a' && *c <= 'z' ? static_cast<char>(*c - 32) : *c);
    }
    EXPECT_EQ(name, expected);
  }
}

}  // namespace
}  // namespace isthmus::wire
