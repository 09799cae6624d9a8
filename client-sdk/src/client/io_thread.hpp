#pragma once
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>

namespace isthmus::detail {

/// The SDK's one thread: an io_context and who runs it.
class IoThread {
 public:
  IoThread() : guard_(io_.get_executor()), thread_([this] { io_.run(); }) {}
  ~IoThread() { finish(); }
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  boost::asio::io_context& io() { return io_; }
  bool here() const { return std::this_thread::get_id() == thread_.get_id(); }

  /// Runs `function` on the thread and waits for its result; at once when called from there, and on
  /// the caller's when the thread has finished.
  template <typename Function>
  auto run(Function function) -> std::invoke_result_t<Function> {
    using Result = std::invoke_result_t<Function>;
    if (here()) return function();
    std::packaged_task<Result()> task(std::move(function));
    std::future<Result> done = task.get_future();
    {
      const std::lock_guard lock(mutex_);
      if (finished_) {
        task();
      } else {
        boost::asio::post(io_, std::move(task));
      }
    }
    return done.get();
  }
  /// As run(), without waiting. Dropped when the thread has finished.
  template <typename Function>
  void post(Function function) {
    const std::lock_guard lock(mutex_);
    if (!finished_) boost::asio::post(io_, std::move(function));
  }

  /// Waits until everything that was begun has ended; what still waits then is run by the caller.
  void finish() {
    if (!thread_.joinable()) return;
    guard_.reset();
    thread_.join();
    const std::lock_guard lock(mutex_);
    finished_ = true;
    io_.restart();
    io_.poll();
  }

 private:
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::mutex mutex_;
  bool finished_ = false;
  std::thread thread_;  ///< last: it uses the others
};

}  // namespace isthmus::detail
