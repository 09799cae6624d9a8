#include "store/sqlite.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

namespace isthmus::store {

void Database::Close::operator()(sqlite3* handle) const {
  sqlite3_close_v2(handle);
}
void Statement::Finalize::operator()(sqlite3_stmt* handle) const {
  sqlite3_finalize(handle);
}

Result<Database, StoreError> Database::open(const std::string& path, Access access,
                                            int busy_timeout_ms) {
  bool write = access == Access::read_write;
  if (write) {
    // Password hashes are in it. SQLite gives the files beside it the same mode.
    int made = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (made >= 0) ::close(made);
  }
  Database database;
  database.path_ = path;
  sqlite3* handle = nullptr;
  int flags = (write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX;
  int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  database.handle_.reset(handle);
  if (code != SQLITE_OK) return database.error();
  sqlite3_busy_timeout(handle, busy_timeout_ms);
  sqlite3_extended_result_codes(handle, 1);
  if (write) {
    if (auto error = database.run("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")) {
      return *error;
    }
  }
  return database;
}

StoreError Database::error() const {
  return {path_ + ": " + (handle_ ? sqlite3_errmsg(handle_.get()) : "out of memory")};
}

std::optional<StoreError> Database::run(const char* sql) {
  if (sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK) return std::nullopt;
  return error();
}

Result<Statement, StoreError> Database::prepare(std::string_view sql) {
  sqlite3_stmt* handle = nullptr;
  int code =
      sqlite3_prepare_v2(handle_.get(), sql.data(), static_cast<int>(sql.size()), &handle, nullptr);
  Statement statement;
  statement.handle_.reset(handle);
  if (code != SQLITE_OK) return error();
  return statement;
}

Statement& Statement::bind(int parameter, std::string_view text) {
  sqlite3_bind_text(handle_.get(), parameter, text.data(), static_cast<int>(text.size()),
                    SQLITE_TRANSIENT);
  return *this;
}

Statement& Statement::bind(int parameter, std::int64_t number) {
  sqlite3_bind_int64(handle_.get(), parameter, number);
  return *this;
}

Statement& Statement::bind(int parameter, double number) {
  sqlite3_bind_double(handle_.get(), parameter, number);
  return *this;
}

Statement::Step Statement::step() {
  int code = sqlite3_step(handle_.get());
  return code == SQLITE_ROW ? Step::row : code == SQLITE_DONE ? Step::done : Step::failed;
}

void Statement::reset() {
  sqlite3_reset(handle_.get());
  sqlite3_clear_bindings(handle_.get());
}

std::string Statement::text(int column) const {
  const unsigned char* text = sqlite3_column_text(handle_.get(), column);
  if (!text) return {};
  auto size = static_cast<std::size_t>(sqlite3_column_bytes(handle_.get(), column));
  return std::string(reinterpret_cast<const char*>(text), size);
}

std::int64_t Statement::number(int column) const {
  return sqlite3_column_int64(handle_.get(), column);
}

double Statement::real(int column) const {
  return sqlite3_column_double(handle_.get(), column);
}

}  // namespace isthmus::store
