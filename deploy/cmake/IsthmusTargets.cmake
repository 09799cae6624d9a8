# How every target of the project is made: warnings as errors, sanitizers, include roots.

add_library(isthmus_options INTERFACE)
target_compile_options(isthmus_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-qual
  -Wunused -Woverloaded-virtual -Wconversion -Wimplicit-fallthrough -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 to 14 report these falsely inside std::string and std::vector once optimised, and the last one
  # in the frames of Asio's coroutines.
  target_compile_options(isthmus_options INTERFACE
    -Wno-stringop-overflow -Wno-stringop-overread -Wno-array-bounds
    -Wno-restrict -Wno-maybe-uninitialized -Wno-mismatched-new-delete)
endif()
if(ISTHMUS_SANITIZE)
  add_compile_options(-fsanitize=${ISTHMUS_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${ISTHMUS_SANITIZE})
  if(ISTHMUS_SANITIZE MATCHES "thread")
    # g++'s ThreadSanitizer knows no fences, and says so at each. Asio's add nothing where handlers
    # go through the locks of its queues.
    add_compile_definitions(BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
  if(ISTHMUS_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()
if(ISTHMUS_FUZZ)
  # The libraries as well: without their coverage a fuzzer learns nothing of what it reached.
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()

# isthmus_library(NAME SOURCES ... LINKS ... [PURE]): a static library of one room.
# PURE marks code without sockets, clocks or threads; tests/layering proves it.
function(isthmus_library name)
  cmake_parse_arguments(ARG "PURE" "ROOT" "SOURCES;LINKS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${ARG_ROOT}>)
  target_link_libraries(${name} PUBLIC ${ARG_LINKS} PRIVATE $<BUILD_INTERFACE:isthmus_options>)
  if(ARG_PURE)
    set_property(GLOBAL APPEND PROPERTY ISTHMUS_PURE_LIBRARIES ${name})
  endif()
endfunction()
