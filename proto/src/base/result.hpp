#pragma once
#include <boost/system/result.hpp>

namespace isthmus {

/// A value or an error (architecture: errors are values). Test before dereferencing:
/// `if (!r) return r.error();` then `*r`.
template <typename T, typename E>
using Result = boost::system::result<T, E>;

}  // namespace isthmus
