#include "app/key_log.hpp"

#include "net/key_log.hpp"

namespace isthmus::app {

void warn_of_key_log(const ops::Log& log) {
  if (const auto file = net::key_log_file()) {
    log.warning("tls_secrets_logged",
                {{"file", *file},
                 {"media_keys", *file + ".srtp"},
                 {"risk", "whoever has this file reads all that is captured"}});
  } else {
    log.warning("tls_secrets_not_logged",
                {{"why", "key_log is set, the environment variable SSLKEYLOGFILE is not"}});
  }
}

}  // namespace isthmus::app
