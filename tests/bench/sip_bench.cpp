// What one SIP message costs: parsing, checking, and the edits that the bridge makes on an INVITE.
#include <benchmark/benchmark.h>

#include "bench/invite.hpp"
#include "sip/message.hpp"

namespace isthmus {
namespace {

void parse(benchmark::State& state) {
  std::string text = bench::invite();
  for (auto _ : state) {
    auto message = sip::Message::parse(text);
    benchmark::DoNotOptimize(message);
  }
}
BENCHMARK(parse);

void parse_and_check(benchmark::State& state) {
  std::string text = bench::invite();
  for (auto _ : state) {
    auto message = sip::Message::parse(text);
    benchmark::DoNotOptimize(message->check());
  }
}
BENCHMARK(parse_and_check);

void parse_rewrite_serialize(benchmark::State& state) {
  std::string text = bench::invite();
  for (auto _ : state) {
    auto message = sip::Message::parse(text);
    message->remove(sip::HeaderId::via);
    message->prepend(sip::HeaderId::via,
                     "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKabcdefghijkl;rport");
    message->set(sip::HeaderId::max_forwards, "69");
    message->set(sip::HeaderId::contact, "<sip:abcdefghijklmnopqrst@192.0.2.1:5060>");
    message->set_body(message->body());
    benchmark::DoNotOptimize(message->serialize());
  }
}
BENCHMARK(parse_rewrite_serialize);

}  // namespace
}  // namespace isthmus
