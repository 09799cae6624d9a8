// Dialog-info documents and session descriptions on their way to a leg that hides others: what is
// written must read the same again, and what stays must be what came.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "call/dialog_info.hpp"
#include "call/topology.hpp"

using namespace isthmus::call;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  auto kept = rewrite_dialog_info(
      text, [](const DialogWords&) { return std::optional<DialogWords>(); },
      [](std::string_view) { return std::optional<std::string>(); });
  if (kept) require(*kept == text);

  // What was put in place reads back as it was meant, whatever it holds.
  const DialogWords marked{"\"<&>'", "l'\"", "r<"};
  std::size_t dialogs = 0, targets = 0;
  auto written = rewrite_dialog_info(
      text,
      [&](const DialogWords&) {
        ++dialogs;
        return std::optional<DialogWords>(marked);
      },
      [&](std::string_view) {
        ++targets;
        return std::optional<std::string>("sip:a&b");
      });
  require(kept.has_value() == written.has_value());
  if (written) {
    std::size_t dialogs_again = 0, targets_again = 0;
    auto again = rewrite_dialog_info(
        *written,
        [&](const DialogWords& words) {
          ++dialogs_again;
          require(words.call_id == marked.call_id);
          return std::optional<DialogWords>();
        },
        [&](std::string_view uri) {
          ++targets_again;
          require(uri == "sip:a&b");
          return std::optional<std::string>();
        });
    require(again && *again == *written);
    require(dialogs == dialogs_again && targets == targets_again);
  }

  for (bool own : {false, true}) {
    std::string hidden = hide_description(text, own);
    require(hide_description(hidden, own) == hidden);
  }
  return 0;
}
