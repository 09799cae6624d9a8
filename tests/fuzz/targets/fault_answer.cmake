# One pure file of an I/O room: built by itself, so that the pure fuzz build has it too.
isthmus_fuzz(fault_answer LINKS isthmus_sip)
target_sources(fault_answer_fuzz PRIVATE ${PROJECT_SOURCE_DIR}/gateway/src/transport/fault_answer.cpp)
target_include_directories(fault_answer_fuzz PRIVATE ${PROJECT_SOURCE_DIR}/gateway/src)
