#include "store/schema.hpp"

namespace isthmus::store {
namespace {

constexpr std::int64_t kVersion = 1;

constexpr const char* kTables = R"(
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS contacts (
  user TEXT NOT NULL,
  uri TEXT NOT NULL,
  instance TEXT NOT NULL,
  reg_id INTEGER NOT NULL,
  params TEXT NOT NULL,
  path TEXT NOT NULL,
  user_agent TEXT NOT NULL,
  call_id TEXT NOT NULL,
  cseq INTEGER NOT NULL,
  q REAL NOT NULL,
  expires INTEGER NOT NULL,
  refreshed INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS contacts_by_user ON contacts(user);
CREATE TABLE IF NOT EXISTS users (
  name TEXT PRIMARY KEY NOT NULL,
  password_hash TEXT NOT NULL,
  realm TEXT NOT NULL,
  ha1_md5 TEXT NOT NULL,
  ha1_sha256 TEXT NOT NULL,
  ha1_sha512_256 TEXT NOT NULL,
  aors TEXT NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 1;
COMMIT;
)";

/// The one value of a query; nothing when it fails.
std::optional<std::string> ask(Database& database, std::string_view sql) {
  auto statement = database.prepare(sql);
  if (!statement || statement->step() != Statement::Step::row) return std::nullopt;
  return statement->text(0);
}

}  // namespace

Result<Database, StoreError> open_registrar_database(const std::string& path, int busy_timeout_ms) {
  auto database = Database::open(path, Database::Access::read_write, busy_timeout_ms);
  if (!database) return database.error();
  auto version = ask(*database, "PRAGMA user_version");
  if (!version) return database->error();
  if (*version != "0" && *version != std::to_string(kVersion)) {
    return StoreError{path + ": its tables are of version " + *version +
                      ", made by a later version of this program"};
  }
  auto damage = ask(*database, "PRAGMA quick_check(1)");
  if (!damage) return database->error();
  if (*damage != "ok") return StoreError{path + ": is damaged: " + *damage};
  if (auto error = database->run(kTables)) return *error;
  return std::move(*database);
}

}  // namespace isthmus::store
