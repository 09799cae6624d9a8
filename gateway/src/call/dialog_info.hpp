#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace isthmus::call {

/// A dialog as application/dialog-info+xml (RFC 4235 §4.1) and headers of its kind name it: by its
/// Call-ID, the tag of who is described, and the other tag. Tags may be missing.
struct DialogWords {
  std::string call_id, local_tag, remote_tag;
};

/// Rewrites in a dialog-info document the identifiers of each `dialog` and `replaces` element and
/// the URI of each `target`; every other byte stays. Reads tags and attributes only: no entities of
/// its own, no DTD, nothing nested, in one pass.
/// @param dialog, target  return what to put in place; nothing: it stays.
/// @return nothing when the document is not well-formed as far as it was read, or has more than
///   limits::kDialogInfoElements of these elements; it then stays as it is.
std::optional<std::string> rewrite_dialog_info(
    std::string_view document,
    const std::function<std::optional<DialogWords>(const DialogWords&)>& dialog,
    const std::function<std::optional<std::string>(std::string_view)>& target);

}  // namespace isthmus::call
