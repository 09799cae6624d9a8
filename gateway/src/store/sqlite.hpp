#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace isthmus::store {

/// What SQLite says, with the file it says it of: "/var/lib/…/registrar.sqlite: disk is full".
struct StoreError {
  std::string text;
};

class Statement;

/// One connection to a database file. For one thread at a time.
class Database {
 public:
  enum class Access : std::uint8_t { read_only, read_write };
  /// Opens the file; read_write makes it (mode 0600) when there is none, and keeps its log beside
  /// it (WAL, synchronous=NORMAL: a power failure may cost the last seconds, never the file).
  static Result<Database, StoreError> open(const std::string& path, Access access,
                                           int busy_timeout_ms);

  /// Runs statements without parameters, up to the first that fails.
  /// @return its error; nothing: all done
  std::optional<StoreError> run(const char* sql);
  Result<Statement, StoreError> prepare(std::string_view sql);
  StoreError error() const;  ///< of the last call that failed
  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  std::string path_;
  std::unique_ptr<sqlite3, Close> handle_;
};

/// A prepared statement; lives no longer than its Database. Parameters count from 1, columns from
/// 0.
class Statement {
 public:
  enum class Step : std::uint8_t { row, done, failed };

  Statement& bind(int parameter, std::string_view text);
  Statement& bind(int parameter, std::int64_t number);
  Statement& bind(int parameter, double number);
  Step step();
  /// Ready to be bound and run again.
  void reset();

  std::string text(int column) const;
  std::int64_t number(int column) const;
  double real(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

}  // namespace isthmus::store
