#include "cli/commands.h"

namespace strand {

void add_data_commands(CLI::App&, Chosen*) {}

}  // namespace strand
