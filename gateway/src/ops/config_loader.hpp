#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "ops/config.hpp"
#include "ops/file_reader.hpp"

namespace isthmus::ops {

/// One thing wrong with a configuration file.
struct ConfigFault {
  std::string file;
  int line = 0;          ///< from 1; 0: the file as a whole
  std::string key;       ///< "users[1].aors[0]"; empty: none in particular
  std::string wrong;     ///< "is \"70000\""
  std::string expected;  ///< "a port number, 0 to 65535"; may be empty
  /// "gateway.yaml:12: sip.udp.port: is "70000", expected a port number, 0 to 65535"
  std::string to_string() const;
};

/// All that is wrong, in the order of the file. Never empty when it is an error.
using ConfigFaults = std::vector<ConfigFault>;
/// One fault a line.
std::string to_string(const ConfigFaults& faults);

/// Reads YAML. Unknown keys, wrong types, missing keys and contradictions are faults, and all of
/// them are reported at once. Secrets never appear in a fault.
/// @param file_name  for the faults, and the directory to which files named inside are relative
Result<GatewayConfig, ConfigFaults> parse_gateway_config(std::string_view yaml,
                                                         const std::string& file_name,
                                                         const FileReader& read = read_file);
Result<ConnectorConfig, ConfigFaults> parse_connector_config(std::string_view yaml,
                                                             const std::string& file_name,
                                                             const FileReader& read = read_file);

/// The same for a file on disk.
Result<GatewayConfig, ConfigFaults> load_gateway_config(const std::string& path);
Result<ConnectorConfig, ConfigFaults> load_connector_config(const std::string& path);

}  // namespace isthmus::ops
