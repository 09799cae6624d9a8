#pragma once
#include <string>

#include "store/sqlite.hpp"

namespace isthmus::store {

/// Opens the registrar's database, to write: makes the file and its tables when there are none, and
/// looks it through for damage. Takes some 100 ms for 100,000 contacts: at start only.
/// @return what is wrong with it, naming the file
Result<Database, StoreError> open_registrar_database(const std::string& path, int busy_timeout_ms);

}  // namespace isthmus::store
