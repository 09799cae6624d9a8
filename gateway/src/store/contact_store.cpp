#include "store/contact_store.hpp"

#include <boost/asio/post.hpp>

#include "sip/uri.hpp"
#include "store/schema.hpp"

namespace isthmus::store {

using provider::StoredContact;

namespace {

constexpr int kBusyTimeout_ms = 2000;  // of the writing thread: `user add` writes, too

constexpr std::string_view kSelect =
    "SELECT user, uri, instance, reg_id, params, path, user_agent, call_id, cseq, q, expires, "
    "refreshed FROM contacts";
constexpr std::string_view kInsert =
    "INSERT INTO contacts (user, uri, instance, reg_id, params, path, user_agent, call_id, cseq, "
    "q, expires, refreshed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
constexpr std::string_view kDelete = "DELETE FROM contacts WHERE user = ?1";

std::string join(const std::vector<std::string>& path) {
  std::string text;
  for (const std::string& hop : path) text += (text.empty() ? "" : ", ") + hop;
  return text;
}

StoredContact read_row(const Statement& row) {
  StoredContact contact;
  contact.user = row.text(0);
  contact.uri = row.text(1);
  contact.instance = row.text(2);
  contact.reg_id = static_cast<std::uint32_t>(row.number(3));
  contact.params = row.text(4);
  std::string path = row.text(5);
  for (std::string_view hop : sip::split_list(path)) contact.path.emplace_back(hop);
  contact.user_agent = row.text(6);
  contact.call_id = row.text(7);
  contact.cseq = static_cast<std::uint32_t>(row.number(8));
  contact.q = row.real(9);
  contact.expires_unix_s = row.number(10);
  contact.refreshed_unix_s = row.number(11);
  return contact;
}

void bind_row(Statement& insert, const StoredContact& contact) {
  insert.bind(1, contact.user)
      .bind(2, contact.uri)
      .bind(3, contact.instance)
      .bind(4, std::int64_t{contact.reg_id})
      .bind(5, contact.params)
      .bind(6, join(contact.path))
      .bind(7, contact.user_agent)
      .bind(8, contact.call_id)
      .bind(9, std::int64_t{contact.cseq})
      .bind(10, contact.q)
      .bind(11, contact.expires_unix_s)
      .bind(12, contact.refreshed_unix_s);
}

}  // namespace

Result<std::unique_ptr<ContactStore>, StoreError> ContactStore::open(const std::string& path) {
  auto database = open_registrar_database(path, kBusyTimeout_ms);
  if (!database) return database.error();
  std::unique_ptr<ContactStore> store(new ContactStore(std::move(*database)));
  if (auto error = store->load()) return *error;
  return store;
}

ContactStore::~ContactStore() {
  close();
}

std::optional<StoreError> ContactStore::load() {
  auto rows = database_.prepare(kSelect);
  if (!rows) return rows.error();
  Statement::Step step = rows->step();
  for (; step == Statement::Step::row; step = rows->step()) loaded_.push_back(read_row(*rows));
  if (step == Statement::Step::failed) return database_.error();
  return std::nullopt;
}

void ContactStore::put(const std::string& user, std::vector<StoredContact> contacts) {
  pending_[user] = std::move(contacts);
}

/// What a batch that failed held and nothing newer has replaced is pending again.
void ContactStore::take_back_failed() {
  for (auto& [user, contacts] : failed_) pending_.try_emplace(user, std::move(contacts));
  failed_.clear();
}

void ContactStore::flush() {
  std::lock_guard lock(mutex_);
  if (writing_ || closed_) return;
  take_back_failed();
  if (pending_.empty()) return;
  writing_ = true;
  boost::asio::post(thread_, [this, batch = std::move(pending_)]() mutable {
    write_on_thread(std::move(batch));
  });
  pending_ = {};
}

void ContactStore::write_on_thread(Batch batch) {
  std::optional<StoreError> error = write(batch);
  std::lock_guard lock(mutex_);
  writing_ = false;
  ++report_.batches;
  report_.fault.reset();
  if (!error) {
    report_.users += batch.size();
    return;
  }
  ++report_.failures;
  report_.fault = error->text;
  failed_ = std::move(batch);
}

std::optional<StoreError> ContactStore::write(const Batch& batch) {
  if (auto error = database_.run("BEGIN IMMEDIATE")) return error;
  std::optional<StoreError> error = write_rows(batch);
  if (!error) error = database_.run("COMMIT");
  if (error) database_.run("ROLLBACK");  // may have happened already; its error says no more
  return error;
}

std::optional<StoreError> ContactStore::write_rows(const Batch& batch) {
  auto remove = database_.prepare(kDelete);
  if (!remove) return remove.error();
  auto insert = database_.prepare(kInsert);
  if (!insert) return insert.error();
  for (const auto& [user, contacts] : batch) {
    remove->bind(1, user);
    if (remove->step() == Statement::Step::failed) return database_.error();
    remove->reset();
    for (const StoredContact& contact : contacts) {
      bind_row(*insert, contact);
      if (insert->step() == Statement::Step::failed) return database_.error();
      insert->reset();
    }
  }
  return std::nullopt;
}

void ContactStore::close() {
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
  }
  thread_.join();  // the batch under way
  take_back_failed();
  if (!pending_.empty()) write_on_thread(std::move(pending_));
  pending_ = {};
}

ContactStore::Report ContactStore::report() const {
  std::lock_guard lock(mutex_);
  return report_;
}

}  // namespace isthmus::store
