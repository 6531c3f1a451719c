#include "dataserver/commands.h"
#include "dataserver/leaks/kmers.h"
#include "dataserver/leaks/leak_sources.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"

namespace strand {

namespace {

Json row_json(const LeakRow& row) {
  Json json = {{"row", row.row}, {"name", row.name}};
  if (row.line > 0) json["line"] = row.line;
  return json;
}

std::string row_text(const LeakRow& row) {
  const bool named = row.name != concat(row.row);
  return concat("row ", row.row, row.line > 0 ? concat(" (line ", row.line, ")") : "", named ? " " + row.name : "");
}

// The first few rows of a side.
std::string rows_text(const std::vector<LeakRow>& rows) {
  constexpr size_t kMost = 3;
  std::vector<std::string> texts;
  for (size_t i = 0; i < rows.size() && i < kMost; ++i) texts.push_back(row_text(rows[i]));
  return concat(join(texts, ", "), rows.size() > kMost ? concat(" and ", rows.size() - kMost, " more") : "");
}

std::string percent(uint64_t part, uint64_t whole) {
  if (whole == 0) return "0%";
  return concat(format_number(100.0 * static_cast<double>(part) / static_cast<double>(whole), 2), "%");
}

uint64_t rows_of(const LeakReport& report, const std::string& party) {
  for (const LeakPartySummary& summary : report.parties) {
    if (summary.name == party) return summary.rows;
  }
  return 0;
}

size_t shown_of(size_t all, int64_t show) {
  return show < 0 ? all : std::min(all, static_cast<size_t>(show));
}

std::string pair_text(const LeakReport& report, const LeakPair& pair, const DataLeaksOptions& options) {
  const uint64_t first = rows_of(report, pair.first), second = rows_of(report, pair.second);
  std::string text = concat(pair.first, "  and  ", pair.second, "\n");
  text += concat("  the same  ", pair.shared.size(), " sequences: ", pair.shared_first, " rows (",
                 percent(pair.shared_first, first), ") of the first, ", pair.shared_second, " (",
                 percent(pair.shared_second, second), ") of the second\n");
  const size_t same = shown_of(pair.shared.size(), options.show);
  for (size_t i = 0; i < same; ++i) {
    const SharedSequence& shared = pair.shared[i];
    text += concat("    ", rows_text(shared.first), "  =  ", rows_text(shared.second), "  ", shared.bases, " bases",
                   shared.reversed ? ", reverse complement" : "", "\n");
  }
  if (same < pair.shared.size()) text += concat("    ... and ", pair.shared.size() - same, " more (--show -1)\n");
  text +=
      concat("  near      ", pair.near.size(), " pairs: ", pair.near_first, " rows (", percent(pair.near_first, first),
             ") of the first, ", pair.near_second, " (", percent(pair.near_second, second), ") of the second\n");
  const size_t near = shown_of(pair.near.size(), options.show);
  for (size_t i = 0; i < near; ++i) {
    const NearSequences& pair_of = pair.near[i];
    text += concat("    ", row_text(pair_of.first), "  ~  ", row_text(pair_of.second), "  ",
                   format_number(pair_of.containment(), 3), pair_of.estimated ? " (estimated)" : "", "\n");
  }
  if (near < pair.near.size()) text += concat("    ... and ", pair.near.size() - near, " more (--show -1)\n");
  return text;
}

Json pair_json(const LeakPair& pair, const DataLeaksOptions& options) {
  Json same = Json::array(), near = Json::array();
  for (size_t i = 0; i < shown_of(pair.shared.size(), options.show); ++i) {
    const SharedSequence& shared = pair.shared[i];
    Json first = Json::array(), second = Json::array();
    for (const LeakRow& row : shared.first) first.push_back(row_json(row));
    for (const LeakRow& row : shared.second) second.push_back(row_json(row));
    same.push_back({{"bases", shared.bases},
                    {"reverse_complement", shared.reversed},
                    {"first", std::move(first)},
                    {"second", std::move(second)}});
  }
  for (size_t i = 0; i < shown_of(pair.near.size(), options.show); ++i) {
    const NearSequences& pair_of = pair.near[i];
    near.push_back({{"first", row_json(pair_of.first)},
                    {"second", row_json(pair_of.second)},
                    {"containment", pair_of.containment()},
                    {"shared_kmers", pair_of.shared},
                    {"of_kmers", pair_of.of},
                    {"estimated", pair_of.estimated}});
  }
  return {{"first", pair.first},
          {"second", pair.second},
          {"same",
           {{"sequences", pair.shared.size()},
            {"rows_of_first", pair.shared_first},
            {"rows_of_second", pair.shared_second},
            {"shown", std::move(same)}}},
          {"near",
           {{"pairs", pair.near.size()},
            {"rows_of_first", pair.near_first},
            {"rows_of_second", pair.near_second},
            {"shown", std::move(near)}}}};
}

}  // namespace

Result<DataLeaksReport> data_leaks(const DataLeaksOptions& options) {
  const auto fs = make_posix_file_system();
  STRAND_ASSIGN(auto parties, leak_parties(fs.get(), {options.inputs, options.column, options.store, options.window}));
  LeakOptions how;
  how.threshold = options.threshold;
  if (options.scale < 1) return bad_input(concat("scale ", options.scale, "; expected at least 1"));
  how.scale = static_cast<uint64_t>(options.scale);
  STRAND_ASSIGN(const LeakReport leaks, find_leaks(std::move(parties), how, [&](double done) {
                  if (options.progress) options.progress(done);
                  return options.stop == nullptr || !options.stop->load();
                }));
  DataLeaksReport out;
  Json json = {{"threshold", how.threshold},         {"k", kLeakKmer},         {"scale", how.scale},
               {"sketch_bytes", leaks.sketch_bytes}, {"parts", Json::array()}, {"pairs", Json::array()}};
  std::string& text = out.report.text;
  for (const LeakPartySummary& party : leaks.parties) {
    json["parts"].push_back({{"name", party.name},
                             {"rows", party.rows},
                             {"distinct", party.distinct},
                             {"bases", party.bases},
                             {"without_kmers", party.without_kmers}});
    text += concat(party.name, "  ", party.rows, " rows, ", party.distinct, " distinct sequences, ",
                   with_thousands(static_cast<int64_t>(party.bases)), " bases",
                   party.without_kmers > 0
                       ? concat("; ", party.without_kmers, " rows without ", kLeakKmer, " known bases on end")
                       : "",
                   "\n");
  }
  text += concat("near: at least ", how.threshold, " of the ", kLeakKmer, "-mers of the one with fewer; 1 in ",
                 how.scale, " kept above ", kWholeSketch, "; ", human_bytes(leaks.sketch_bytes), " of memory\n\n");
  for (const LeakPair& pair : leaks.pairs) {
    out.clean = out.clean && pair.clean();
    json["pairs"].push_back(pair_json(pair, options));
    text += pair_text(leaks, pair, options);
  }
  json["clean"] = out.clean;
  out.report.json = dump_json(json);
  return out;
}

}  // namespace strand
