#include "isthmus/client.hpp"

#include <system_error>

#include "client/client_core.hpp"

namespace isthmus {

// The public enums are the user agent's, value by value.
static_assert(static_cast<int>(RegistrationState::failed) ==
              static_cast<int>(ua::RegistrationState::failed));
static_assert(static_cast<int>(CallState::early_media) ==
              static_cast<int>(ua::CallState::early_media));
static_assert(static_cast<int>(CallState::ended) == static_cast<int>(ua::CallState::ended));
static_assert(static_cast<int>(EndCause::refused) == static_cast<int>(ua::EndCause::refused));
static_assert(static_cast<int>(EndCause::failed) == static_cast<int>(ua::EndCause::failed));

const char* to_text(RegistrationState state) {
  return ua::to_text(static_cast<ua::RegistrationState>(state));
}
const char* to_text(CallState state) {
  return ua::to_text(static_cast<ua::CallState>(state));
}
const char* to_text(EndCause cause) {
  return ua::to_text(static_cast<ua::EndCause>(cause));
}

namespace {

Error no_such_call() {
  return {ErrorKind::unknown_call, "the call or its client is no more"};
}

}  // namespace

Call::Call(std::weak_ptr<detail::ClientCore> core, std::uint64_t id)
    : core_(std::move(core)), id_(id) {}

Outcome<void> Call::answer(AudioOptions audio) {
  const auto core = core_.lock();
  if (!core) return no_such_call();
  auto ends = detail::AudioEnds::open(std::move(audio));
  if (!ends) return ends.error();
  return core->thread().run([&] { return core->answer(id_, std::move(*ends)); });
}

Outcome<void> Call::reject(int status, std::string_view reason) {
  const auto core = core_.lock();
  if (!core) return no_such_call();
  return core->thread().run([&] { return core->reject(id_, status, reason); });
}

Outcome<void> Call::hang_up() {
  const auto core = core_.lock();
  if (!core) return no_such_call();
  return core->thread().run([&] { return core->hang_up(id_); });
}

Outcome<void> Call::hold(bool on) {
  const auto core = core_.lock();
  if (!core) return no_such_call();
  return core->thread().run([&] { return core->hold(id_, on); });
}

Outcome<void> Call::send_dtmf(std::string_view digits, std::chrono::milliseconds duration) {
  const auto core = core_.lock();
  if (!core) return no_such_call();
  return core->thread().run([&] { return core->send_dtmf(id_, digits, duration); });
}

Outcome<void> Call::push_audio(std::span<const std::int16_t> samples) {
  const auto core = core_.lock();
  if (!core) return no_such_call();
  return core->thread().run([&] { return core->push_audio(id_, samples); });
}

Outcome<CallStatistics> Call::statistics() const {
  const auto core = core_.lock();
  if (!core) return no_such_call();
  return core->thread().run([&] { return core->statistics(id_); });
}

Client::Client(std::shared_ptr<detail::ClientCore> core) : core_(std::move(core)) {}

Client::~Client() {
  core_->finish();
}

Outcome<std::unique_ptr<Client>> Client::create(ClientOptions options, ClientHandlers handlers) {
  try {
    auto core = std::make_shared<detail::ClientCore>(std::move(options), std::move(handlers));
    if (auto opened = core->open(); !opened) return opened.error();
    return std::unique_ptr<Client>(new Client(std::move(core)));
  } catch (const std::system_error& error) {
    return Error{ErrorKind::limit, std::string("no thread could be started: ") + error.what()};
  }
}

void Client::connect() {
  core_->thread().run([this] { core_->connect(); });
}
void Client::disconnect() {
  core_->thread().run([this] { core_->disconnect(); });
}
void Client::on_network_changed() {
  core_->thread().run([this] { core_->on_network_changed(); });
}

void Client::register_(std::chrono::seconds expires) {
  core_->thread().run([&] { core_->start_registration(expires); });
}
void Client::unregister() {
  core_->thread().run([this] { core_->stop_registration(); });
}

Outcome<Call> Client::call(std::string_view target, CallOptions options) {
  auto ends = detail::AudioEnds::open(std::move(options.audio));
  if (!ends) return ends.error();
  return core_->thread().run(
      [&] { return core_->call(std::string(target), options.late_offer, std::move(*ends)); });
}

SessionInfo Client::session() const {
  return core_->thread().run([this] { return core_->session(); });
}
std::string Client::aor() const {
  return core_->thread().run([this] { return core_->aor(); });
}
std::size_t Client::call_count() const {
  return core_->thread().run([this] { return core_->call_count(); });
}

}  // namespace isthmus
