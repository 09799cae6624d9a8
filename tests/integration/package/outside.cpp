// A program that has nothing of Isthmus but what was installed. Needs no network: it tries a port
// of the loopback interface where nothing listens, and shows that every layer is there.
#include <cstdio>
#include <cstring>
#include <future>
#include <isthmus/client.hpp>
#include <isthmus/raw_link.hpp>
#include <isthmus/version.hpp>

namespace {

int failures = 0;

void expect(bool condition, const char* what) {
  std::printf("%s %s\n", condition ? "ok  " : "FAIL", what);
  if (!condition) ++failures;
}

isthmus::GatewayOptions nowhere() {
  isthmus::GatewayOptions options;
  options.url = "wss://127.0.0.1:1";
  options.user = "somebody";
  options.password = "secret";
  options.reconnect = false;
  return options;
}

void call_level() {
  isthmus::ClientOptions options;
  options.gateway = nowhere();
  options.gateway.url = "http://gateway.example";
  auto refused = isthmus::Client::create(options, {});
  expect(!refused && refused.error().kind == isthmus::ErrorKind::bad_argument,
         "a URL that is none is refused");

  std::promise<isthmus::Error> closed;
  isthmus::ClientHandlers handlers;
  handlers.on_connection = [&](const isthmus::ConnectionEvent& event) {
    if (event.state == isthmus::ConnectionState::disconnected) closed.set_value(event.error);
  };
  options.gateway = nowhere();
  auto client = isthmus::Client::create(options, handlers);
  expect(client.ok(), "a client is made");
  if (!client) return;
  auto call = (*client)->call("echo");
  expect(!call && call.error().kind == isthmus::ErrorKind::not_connected,
         "no call without a connection");
  (*client)->connect();
  const isthmus::Error error = closed.get_future().get();
  expect(error.kind == isthmus::ErrorKind::unreachable && !error.text.empty(),
         "nobody listens there, and the error says so");
}

void raw_level() {
  auto link = isthmus::RawLink::create(nowhere(), {});
  expect(link.ok(), "a raw link is made");
  if (!link) return;
  const auto sent = (*link)->send_sip("OPTIONS sip:a SIP/2.0\r\n\r\n");
  expect(!sent && sent.error().kind == isthmus::ErrorKind::not_connected,
         "nothing is sent without a connection");
}

}  // namespace

int main() {
  expect(std::strlen(ISTHMUS_VERSION) >= 5 && ISTHMUS_VERSION_NUMBER > 0, "a version is told");
  expect(isthmus::supported_codecs().size() >= 3, "codecs are there");
  call_level();
  raw_level();
  return failures == 0 ? 0 : 1;
}
