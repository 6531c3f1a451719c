// One parser for each format of tables (table_parser.h has what they read).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataserver/tables/table_parser.h"

namespace strand {

std::unique_ptr<TableParser> make_delimited_parser(char separator, std::string file, std::vector<std::string> columns,
                                                   TableSink* sink);
std::unique_ptr<TableParser> make_json_lines_parser(std::string file, std::vector<std::string> columns,
                                                    TableSink* sink);
std::unique_ptr<TableParser> make_labelled_fasta_parser(std::string file, std::vector<std::string> columns,
                                                        TableSink* sink);

}  // namespace strand
