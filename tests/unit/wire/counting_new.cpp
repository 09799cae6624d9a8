// Apart from the tests, so that the compiler cannot pair a gtest `new` with our `free` and object.
#include "counting_new.hpp"

#include <cstdlib>
#include <new>

namespace {
std::size_t count = 0;
}

namespace isthmus::testing {
std::size_t allocations() {
  return count;
}
}  // namespace isthmus::testing

void* operator new(std::size_t size) {
  ++count;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
