// isthmus-gateway: parses the command line and runs what it asks for.
#include "app/commands.hpp"

int main(int argc, char** argv) {
  return isthmus::app::gateway_main(argc, argv);
}
