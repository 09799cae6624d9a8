#pragma once
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/text.hpp"

/// The messages of tests/conformance/torture and the table of what becomes of each.
namespace isthmus::conformance {

inline std::filesystem::path torture_directory() {
  return std::filesystem::path(ISTHMUS_SOURCE_DIR) / "tests/conformance/torture";
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string torture(const std::string& name) {
  return read_file(torture_directory() / (name + ".sip"));
}

struct TortureCase {
  std::string name, section, verdict, outcome;

  friend void PrintTo(const TortureCase& row, std::ostream* out) {
    *out << row.name << " (RFC " << row.section << ")";
  }
};

inline std::vector<TortureCase> torture_table() {
  std::vector<TortureCase> table;
  std::ifstream file(torture_directory() / "table.txt");
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    std::vector<std::string> columns;
    for (std::size_t begin = 0; begin <= line.size();) {
      const std::size_t end = std::min(line.find('|', begin), line.size());
      columns.emplace_back(trim(std::string_view(line).substr(begin, end - begin)));
      begin = end + 1;
    }
    if (columns.size() != 5) throw std::runtime_error("table.txt: " + line);
    table.push_back({columns[0], columns[1], columns[2], columns[3]});
  }
  return table;
}

/// Header fields as they stand on the wire, folded lines whole, without their line end.
inline std::vector<std::string> raw_fields(const std::string& message) {
  std::vector<std::string> fields;
  std::size_t at = message.find("\r\n") + 2;
  while (at < message.size() && message.compare(at, 2, "\r\n") != 0) {
    std::size_t end = at;
    do {
      end = message.find("\r\n", end) + 2;
    } while (end < message.size() && (message[end] == ' ' || message[end] == '\t'));
    fields.push_back(message.substr(at, end - 2 - at));
    at = end;
  }
  return fields;
}

}  // namespace isthmus::conformance
