#include "dataserver/tables/table_store.h"

#include <optional>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/corpus/known_files.h"
#include "dataserver/tables/table_file.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"

namespace strand {

namespace {

constexpr const char* kTablePrefix = "table/";

std::string example_prefix(const std::string& id) {
  return concat("examples/", id, "/");
}

// In place: letters for the model. What is wrong with one, or nothing.
std::string normalise(std::string* sequence) {
  for (size_t i = 0; i < sequence->size(); ++i) {
    char& letter = (*sequence)[i];
    const LetterKind kind = letter_kind(letter);
    if (kind == LetterKind::kOther) {
      const bool rna = to_upper(letter) == 'U';
      return concat("letter ", i + 1, " is '", letter,
                    "'; expected IUPAC codes of DNA (A C G T N R Y S W K M B D H V): ",
                    rna ? "this is RNA, write T for U" : "write N for an unknown base");
    }
    letter = kind == LetterKind::kBase ? to_upper(letter) : 'N';
  }
  return sequence->empty() ? "an empty sequence; expected at least one base: remove the row" : "";
}

void add_content(const Example& example, Hasher128* hasher) {
  hasher->update_text(example.sequence);
  for (const std::string& label : example.labels) hasher->update_text(label);
}

class Builder final : public TableSink {
 public:
  Builder(Store::BulkWriter* writer, const TableColumns& columns, TableInfo* info)
      : writer_(writer), columns_(columns), info_(info) {}

  Status row(TableRow row) override {
    Example example;
    example.line = row.line;
    example.sequence = trim(row.fields[0]);
    if (const std::string wrong = normalise(&example.sequence); !wrong.empty()) {
      return bad_input(concat(info_->path, ": line ", row.line, ", column \"", columns_.sequence, "\": ", wrong));
    }
    for (size_t i = 1; i < row.fields.size(); ++i) example.labels.emplace_back(trim(row.fields[i]));
    add_content(example, &hasher_);
    STRAND_TRY(writer_->put(big_endian_key(example_prefix(info_->id), info_->rows), encode_example(example)));
    info_->letters += example.sequence.size();
    ++info_->rows;
    return {};
  }

  void finish() { info_->content = hasher_.digest(); }

 private:
  Store::BulkWriter* writer_;
  const TableColumns& columns_;
  TableInfo* info_;
  Hasher128 hasher_;
};

Result<TableInfo> identify(Store* store, const std::string& path, const TableColumns& columns, bool remember) {
  STRAND_ASSIGN(const TableFormat format, table_format(path));
  STRAND_ASSIGN(const FileIdentity identity, identify_known_file(store, path, remember));
  Hasher128 hasher;
  hasher.update_u64(identity.bytes);
  hasher.update_u64(identity.hash.high);
  hasher.update_u64(identity.hash.low);
  hasher.update_u64(static_cast<uint64_t>(format));
  hasher.update_text(columns.sequence);
  for (const std::string& label : columns.labels) hasher.update_text(label);
  TableInfo info;
  info.id = hasher.digest().hex();
  info.path = path;
  return info;
}

std::string to_json(const TableInfo& info) {
  return dump_json({{"id", info.id},
                    {"path", info.path},
                    {"rows", info.rows},
                    {"letters", info.letters},
                    {"content", Json::array({info.content.high, info.content.low})}});
}

Result<TableInfo> from_json(std::string_view text, const std::string& origin) {
  STRAND_ASSIGN(const Json json, parse_json(text, origin));
  try {
    TableInfo info;
    info.id = json.at("id").get<std::string>();
    info.path = json.at("path").get<std::string>();
    info.rows = json.at("rows").get<uint64_t>();
    info.letters = json.at("letters").get<uint64_t>();
    info.content = {json.at("content").at(0).get<uint64_t>(), json.at("content").at(1).get<uint64_t>()};
    return info;
  } catch (const Json::exception&) {
    return corrupt(concat(origin, ": the description of a table is damaged; build the store again"));
  }
}

// Under the path it is asked for by.
Result<std::optional<TableInfo>> load(Store* store, const TableInfo& wanted) {
  const std::string key = kTablePrefix + wanted.id;
  const auto text = store->get(key);
  if (!text.ok()) {
    if (text.error().code() == ErrorCode::kNotFound) return std::optional<TableInfo>();
    return text.error();
  }
  STRAND_ASSIGN(TableInfo info, from_json(*text, key));
  info.path = wanted.path;
  return std::optional<TableInfo>(std::move(info));
}

// Length-prefixed texts one after another.
void put_text(std::string_view text, std::string* bytes) {
  *bytes += big_endian_key("", text.size());
  *bytes += text;
}

bool take_text(std::string_view* bytes, std::string* text) {
  if (bytes->size() < 8) return false;
  const uint64_t size = parse_big_endian(bytes->substr(0, 8));
  bytes->remove_prefix(8);
  if (size > bytes->size()) return false;
  *text = bytes->substr(0, size);
  bytes->remove_prefix(size);
  return true;
}

}  // namespace

std::string encode_example(const Example& example) {
  std::string bytes = big_endian_key("", static_cast<uint64_t>(example.line));
  put_text(example.sequence, &bytes);
  for (const std::string& label : example.labels) put_text(label, &bytes);
  return bytes;
}

Result<Example> decode_example(std::string_view bytes) {
  Example example;
  bool sound = bytes.size() >= 8;
  if (sound) {
    example.line = static_cast<int64_t>(parse_big_endian(bytes.substr(0, 8)));
    bytes.remove_prefix(8);
    sound = take_text(&bytes, &example.sequence);
  }
  while (sound && !bytes.empty()) sound = take_text(&bytes, &example.labels.emplace_back());
  if (!sound || example.sequence.empty()) return corrupt("an example of a table is damaged; build the store again");
  return example;
}

Result<TableInfo> build_table(Store* store, const std::string& path, const TableColumns& columns,
                              const Progress& progress) {
  STRAND_ASSIGN(TableInfo info, identify(store, path, columns, true));
  STRAND_ASSIGN(auto found, load(store, info));
  if (found) return *std::move(found);
  std::vector<std::string> wanted = {columns.sequence};
  wanted.insert(wanted.end(), columns.labels.begin(), columns.labels.end());
  STRAND_ASSIGN(const auto writer, store->bulk_writer());
  Builder builder(writer.get(), columns, &info);
  STRAND_TRY(read_table(path, wanted, &builder, progress));
  builder.finish();
  STRAND_TRY(writer->finish());
  StoreBatch batch;
  batch.put(kTablePrefix + info.id, to_json(info));
  STRAND_TRY(store->write(batch));
  return info;
}

Result<TableInfo> find_table(Store* store, const std::string& path, const TableColumns& columns) {
  STRAND_ASSIGN(const TableInfo wanted, identify(store, path, columns, false));
  STRAND_ASSIGN(auto found, load(store, wanted));
  if (!found) return not_found(concat("the store does not hold ", path, "; run the job first"));
  return *std::move(found);
}

Result<std::vector<TableInfo>> list_tables(Store* store) {
  std::vector<TableInfo> tables;
  std::optional<Error> failure;
  STRAND_TRY(store->scan(kTablePrefix, [&](std::string_view key, std::string_view value) {
    auto info = from_json(value, std::string(key));
    if (!info.ok()) {
      failure = info.error();
      return false;
    }
    tables.push_back(std::move(info).value());
    return true;
  }));
  if (failure) return *failure;
  return tables;
}

Result<Example> read_example(Store* store, const TableInfo& table, uint64_t row) {
  STRAND_ASSIGN(const std::string bytes, store->get(big_endian_key(example_prefix(table.id), row)));
  return decode_example(bytes);
}

Status scan_examples(Store* store, const TableInfo& table,
                     const std::function<Status(uint64_t row, const Example& example)>& visit) {
  uint64_t row = 0;
  Status status;
  STRAND_TRY(store->scan(example_prefix(table.id), [&](std::string_view, std::string_view value) {
    const auto example = decode_example(value);
    status = example.ok() ? visit(row++, *example) : Status(example.error());
    return status.ok();
  }));
  STRAND_TRY(status);
  if (row != table.rows) {
    return corrupt(concat(table.path, ": the store holds ", row, " of ", table.rows, " examples; build it again"));
  }
  return {};
}

Status verify_table(Store* store, const TableInfo& table, const Progress& progress) {
  Hasher128 hasher;
  uint64_t letters = 0;
  STRAND_TRY(scan_examples(store, table, [&](uint64_t row, const Example& example) -> Status {
    add_content(example, &hasher);
    letters += example.sequence.size();
    if (progress(static_cast<double>(row + 1) / static_cast<double>(table.rows))) return {};
    return Error(ErrorCode::kStopped, concat("stopped while reading table ", table.id));
  }));
  if (letters == table.letters && hasher.digest() == table.content) return {};
  return corrupt(concat(table.path, ": expected ", table.letters, " letters, content ", table.content.hex(), "; found ",
                        letters, ", ", hasher.digest().hex(), "; build the store again"));
}

}  // namespace strand
