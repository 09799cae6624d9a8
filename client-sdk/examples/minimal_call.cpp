// Calls the gateway's echo service, listens for ten seconds, hangs up.
//   minimal_call wss://gateway.example user password [sha256//pin]
#include <chrono>
#include <future>
#include <iostream>
#include <isthmus/client.hpp>

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: minimal_call URL USER PASSWORD [PIN]\n";
    return 1;
  }
  isthmus::ClientOptions options;
  options.gateway.url = argv[1];
  options.gateway.user = argv[2];
  options.gateway.password = argv[3];
  options.gateway.reconnect = false;
  if (argc > 4) options.gateway.trust.pins = {argv[4]};

  // Callbacks come from the client's thread; the main thread waits for what they promise.
  std::promise<bool> connected;
  std::promise<void> ended;
  isthmus::ClientHandlers handlers;
  handlers.on_connection = [&, told = false](const isthmus::ConnectionEvent& event) mutable {
    std::cout << isthmus::to_text(event.state) << " " << event.error.text << "\n";
    const bool up = event.state == isthmus::ConnectionState::connected;
    if (told || (!up && event.state != isthmus::ConnectionState::disconnected)) return;
    told = true;
    connected.set_value(up);
  };
  handlers.on_call = [&](isthmus::Call, const isthmus::CallEvent& event) {
    std::cout << isthmus::to_text(event.state) << " " << event.reason << "\n";
    if (event.state == isthmus::CallState::ended) ended.set_value();
  };

  auto client = isthmus::Client::create(options, handlers);
  if (!client) {
    std::cerr << client.error().text << "\n";
    return 1;
  }
  (*client)->connect();
  if (!connected.get_future().get()) return 1;

  auto call = (*client)->call("echo");
  if (!call) {
    std::cerr << call.error().text << "\n";
    return 1;
  }
  auto end = ended.get_future();
  if (end.wait_for(std::chrono::seconds(10)) == std::future_status::timeout) {
    if (const auto quality = call->statistics()) std::cout << "MOS " << quality->mos << "\n";
    if (call->hang_up()) end.wait();
  }
  return 0;
}
