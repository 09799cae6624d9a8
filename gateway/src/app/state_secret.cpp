#include "app/state_secret.hpp"

#include "base/text.hpp"
#include "ops/file_reader.hpp"

namespace isthmus::app {

Bytes load_or_make_secret(const std::string& state_dir, const std::string& name, Random& random) {
  constexpr std::size_t kSecretBytes = 32;
  std::string path = state_dir + "/" + name;
  if (auto kept = ops::read_file(path)) {
    auto secret = from_hex(trim(*kept));
    if (secret && secret->size() == kSecretBytes) return *secret;
  }
  Bytes secret(kSecretBytes);
  random.fill(secret);
  ops::write_private_file(path, to_hex(secret) + "\n");
  return secret;
}

}  // namespace isthmus::app
