#pragma once
#include <array>
#include <cstddef>
#include <new>

namespace isthmus::transport {

/// Room for the one pending operation of a read loop, so that waiting again never allocates. Asio
/// gives the memory back before it calls the handler; a second operation at a time falls back to
/// the heap.
class HandlerMemory {
 public:
  void* allocate(std::size_t bytes) {
    if (used_ || bytes > storage_.size()) return ::operator new(bytes);
    used_ = true;
    return storage_.data();
  }
  void deallocate(void* memory) {
    if (memory == storage_.data()) {
      used_ = false;
    } else {
      ::operator delete(memory);
    }
  }

 private:
  alignas(std::max_align_t) std::array<std::byte, 512> storage_;
  bool used_ = false;
};

/// Standard allocator over a HandlerMemory that outlives it.
template <typename T>
struct HandlerAllocator {
  using value_type = T;
  explicit HandlerAllocator(HandlerMemory& owner) : memory(&owner) {}
  template <typename U>
  HandlerAllocator(const HandlerAllocator<U>& other) : memory(other.memory) {}
  T* allocate(std::size_t count) { return static_cast<T*>(memory->allocate(count * sizeof(T))); }
  void deallocate(T* pointer, std::size_t) { memory->deallocate(pointer); }
  template <typename U>
  bool operator==(const HandlerAllocator<U>& other) const {
    return memory == other.memory;
  }
  HandlerMemory* memory;
};

}  // namespace isthmus::transport
