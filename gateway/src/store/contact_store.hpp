#pragma once
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "provider/registrar_store.hpp"
#include "store/sqlite.hpp"

namespace isthmus::store {

/// The registrar's contacts in SQLite. Changes are gathered, and written once a second in one
/// transaction on a thread of its own: neither a call nor a packet waits for the disk. What cannot
/// be written is kept and tried again with the next batch; the registrar goes on in memory.
class ContactStore final : public provider::RegistrarStore {
 public:
  /// Opens the file and reads it whole; blocks.
  static Result<std::unique_ptr<ContactStore>, StoreError> open(const std::string& path);
  ~ContactStore() override;
  ContactStore(const ContactStore&) = delete;
  ContactStore& operator=(const ContactStore&) = delete;

  /// What was kept when it was opened, once.
  std::vector<provider::StoredContact> take_loaded() { return std::move(loaded_); }
  void put(const std::string& user, std::vector<provider::StoredContact> contacts) override;
  /// Hands over what was put since the last time, unless the batch before is still being written.
  void flush();
  /// Writes everything and waits for it. Nothing can be put afterwards.
  void close();

  struct Report {
    std::uint64_t batches = 0, users = 0, failures = 0;
    std::optional<std::string> fault;  ///< of the last batch, if it failed
  };
  Report report() const;

 private:
  using Batch = std::map<std::string, std::vector<provider::StoredContact>>;

  explicit ContactStore(Database database) : database_(std::move(database)) {}
  std::optional<StoreError> load();
  void write_on_thread(Batch batch);
  std::optional<StoreError> write(const Batch& batch);
  std::optional<StoreError> write_rows(const Batch& batch);
  void take_back_failed();

  Database database_;  ///< of the thread, once it runs
  std::vector<provider::StoredContact> loaded_;
  Batch pending_;
  mutable std::mutex mutex_;  ///< of what follows; held for moments
  Report report_;
  Batch failed_;
  bool writing_ = false;
  bool closed_ = false;
  boost::asio::thread_pool thread_{1};
};

}  // namespace isthmus::store
