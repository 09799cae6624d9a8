#include "store/user_store.hpp"

#include "store/schema.hpp"

namespace isthmus::store {
namespace {

// Readers wait for nobody in WAL mode, but for a moment while the file is opened for the first
// time.
constexpr int kReadTimeout_ms = 50;
constexpr int kWriteTimeout_ms = 5000;

#define ISTHMUS_USER_COLUMNS "name, password_hash, realm, ha1_md5, ha1_sha256, ha1_sha512_256, aors"
constexpr std::string_view kFind = "SELECT " ISTHMUS_USER_COLUMNS " FROM users WHERE name = ?1";
// aors holds words with one space between them; none has a space of its own.
constexpr std::string_view kHasAddress =
    "SELECT 1 FROM users WHERE lower(name) = lower(?1) OR "
    "(instr(?1, ' ') = 0 AND instr(' ' || lower(aors) || ' ', ' ' || lower(?1) || ' ') > 0) LIMIT "
    "1";
constexpr std::string_view kAll = "SELECT " ISTHMUS_USER_COLUMNS " FROM users ORDER BY name";
constexpr std::string_view kPut =
    "INSERT OR REPLACE INTO users (" ISTHMUS_USER_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
#undef ISTHMUS_USER_COLUMNS
constexpr std::string_view kRemove = "DELETE FROM users WHERE name = ?1 RETURNING 1";

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> out;
  std::size_t begin = 0;
  while (begin < text.size()) {
    std::size_t end = text.find(' ', begin);
    if (end == std::string::npos) end = text.size();
    if (end > begin) out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

StoredUser read_row(const Statement& row) {
  return {row.text(0),
          row.text(1),
          row.text(2),
          {row.text(3), row.text(4), row.text(5)},
          words(row.text(6))};
}

}  // namespace

Result<UserStore, StoreError> UserStore::with(Result<Database, StoreError> database) {
  if (!database) return database.error();
  auto find = database->prepare(kFind);
  if (!find) return find.error();
  auto has_address = database->prepare(kHasAddress);
  if (!has_address) return has_address.error();
  return UserStore(std::move(*database), std::move(*find), std::move(*has_address));
}

Result<UserStore, StoreError> UserStore::open(const std::string& path) {
  return with(Database::open(path, Database::Access::read_only, kReadTimeout_ms));
}

Result<UserStore, StoreError> UserStore::open_to_change(const std::string& path) {
  return with(open_registrar_database(path, kWriteTimeout_ms));
}

std::optional<StoredUser> UserStore::find(std::string_view name) {
  find_.reset();
  find_.bind(1, name);
  Statement::Step step = find_.step();
  std::optional<StoredUser> user;
  if (step == Statement::Step::row) user = read_row(find_);
  failures_ += step == Statement::Step::failed;
  find_.reset();  // or the row's snapshot would be held on to
  return user;
}

bool UserStore::has_address(std::string_view user_part) {
  has_address_.reset();
  has_address_.bind(1, user_part);
  Statement::Step step = has_address_.step();
  failures_ += step == Statement::Step::failed;
  has_address_.reset();
  return step == Statement::Step::row;
}

Result<std::vector<StoredUser>, StoreError> UserStore::all() {
  auto rows = database_.prepare(kAll);
  if (!rows) return rows.error();
  std::vector<StoredUser> users;
  Statement::Step step = rows->step();
  for (; step == Statement::Step::row; step = rows->step()) users.push_back(read_row(*rows));
  if (step == Statement::Step::failed) return database_.error();
  return users;
}

std::optional<StoreError> UserStore::put(const StoredUser& user) {
  auto statement = database_.prepare(kPut);
  if (!statement) return statement.error();
  std::string aors;
  for (const std::string& aor : user.aors) aors += (aors.empty() ? "" : " ") + aor;
  statement->bind(1, user.name)
      .bind(2, user.password_hash)
      .bind(3, user.realm)
      .bind(4, user.secrets.md5)
      .bind(5, user.secrets.sha256)
      .bind(6, user.secrets.sha512_256)
      .bind(7, aors);
  if (statement->step() == Statement::Step::failed) return database_.error();
  return std::nullopt;
}

Result<bool, StoreError> UserStore::remove(std::string_view name) {
  auto statement = database_.prepare(kRemove);
  if (!statement) return statement.error();
  statement->bind(1, name);
  Statement::Step step = statement->step();
  if (step == Statement::Step::failed) return database_.error();
  while (step == Statement::Step::row) {
    if (statement->step() == Statement::Step::done) return true;
  }
  return false;
}

}  // namespace isthmus::store
