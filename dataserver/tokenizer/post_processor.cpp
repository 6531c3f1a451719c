#include "dataserver/tokenizer/post_processor.h"

namespace strand {
namespace {

class FrameReader {
 public:
  FrameReader(const FilePlace& place, const TokenIds& ids) : place_(place), ids_(ids) {}

  Result<SequenceFrame> read(const std::string& where, const Json& processor) const {
    if (processor.is_null()) return SequenceFrame();
    if (!processor.is_object()) return place_.wrong(where, "an object", processor);
    const Json& type = get(processor, "type");
    if (type == "TemplateProcessing") return read_template(where, processor);
    if (type == "RobertaProcessing" || type == "BertProcessing") return read_pair(where, processor);
    if (type == "ByteLevel") return SequenceFrame();
    if (type == "Sequence") return read_sequence(where, get(processor, "processors"));
    return place_.wrong(
        where + ".type",
        "\"TemplateProcessing\", \"RobertaProcessing\", \"BertProcessing\", \"ByteLevel\" or \"Sequence\"", type);
  }

 private:
  // The processors follow one another, each around what the ones before it made.
  Result<SequenceFrame> read_sequence(const std::string& where, const Json& list) const {
    if (!list.is_array()) return place_.wrong(where + ".processors", "a list", list);
    SequenceFrame frame;
    for (size_t i = 0; i < list.size(); ++i) {
      STRAND_ASSIGN(SequenceFrame outer, read(concat(where, ".processors[", i, "]"), list[i]));
      outer.prefix.insert(outer.prefix.end(), frame.prefix.begin(), frame.prefix.end());
      frame.suffix.insert(frame.suffix.end(), outer.suffix.begin(), outer.suffix.end());
      frame.prefix = std::move(outer.prefix);
    }
    return frame;
  }

  // {"sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}
  Result<SequenceFrame> read_pair(const std::string& where, const Json& processor) const {
    SequenceFrame frame;
    for (const auto& [key, ids] : {std::pair{"cls", &frame.prefix}, std::pair{"sep", &frame.suffix}}) {
      const Json& entry = get(processor, key);
      const std::string place = concat(where, ".", key);
      if (!entry.is_array() || entry.size() != 2) return place_.wrong(place, "a list of a token and its id", entry);
      STRAND_ASSIGN(const int32_t id, special(place, entry[0], entry[1]));
      ids->push_back(id);
    }
    return frame;
  }

  Result<SequenceFrame> read_template(const std::string& where, const Json& processor) const {
    const Json& pieces = get(processor, "single");
    if (!pieces.is_array()) return place_.wrong(where + ".single", "a list", pieces);
    SequenceFrame frame;
    bool seen = false;
    for (size_t i = 0; i < pieces.size(); ++i) {
      const std::string piece = concat(where, ".single[", i, "]");
      if (!pieces[i].is_object()) return place_.wrong(piece, "an object", pieces[i]);
      if (const Json& sequence = get(pieces[i], "Sequence"); !sequence.is_null()) {
        if (seen || !sequence.is_object() || get(sequence, "id") != "A") {
          return place_.refused(piece, "a template for one sequence names the sequence \"A\" once");
        }
        seen = true;
        continue;
      }
      STRAND_TRY(append_special(where, piece, get(pieces[i], "SpecialToken"), processor,
                                seen ? &frame.suffix : &frame.prefix));
    }
    if (!seen) return place_.refused(where + ".single", "a template for one sequence names the sequence \"A\" once");
    return frame;
  }

  // The ids that processor.special_tokens lists for the token of one piece.
  Status append_special(const std::string& where, const std::string& piece, const Json& token, const Json& processor,
                        std::vector<int32_t>* out) const {
    if (!token.is_object() || !get(token, "id").is_string()) {
      return place_.wrong(piece, "a SpecialToken or a Sequence", token);
    }
    const std::string name = get(token, "id").get<std::string>();
    const std::string entry_place = concat(where, ".special_tokens[", quoted(name), "]");
    const Json& tokens = get(processor, "special_tokens");
    const Json& entry = tokens.is_object() ? get(tokens, name.c_str()) : Json();
    if (!entry.is_object()) return place_.wrong(entry_place, "an object", entry);
    const Json &ids = get(entry, "ids"), &texts = get(entry, "tokens");
    if (!ids.is_array() || !texts.is_array() || ids.size() != texts.size()) {
      return place_.refused(entry_place, "expected \"ids\" and \"tokens\", two lists of one length");
    }
    for (size_t i = 0; i < ids.size(); ++i) {
      STRAND_ASSIGN(const int32_t id, special(entry_place, texts[i], ids[i]));
      out->push_back(id);
    }
    return {};
  }

  Result<int32_t> special(const std::string& where, const Json& text, const Json& id) const {
    const auto found = text.is_string() ? ids_.find(text.get<std::string>()) : ids_.end();
    if (found == ids_.end()) return place_.wrong(where, "a token of the vocabulary", text);
    if (id != found->second) return place_.wrong(where, concat(found->second, ", the id of ", quoted(text)), id);
    return found->second;
  }

  const FilePlace& place_;
  const TokenIds& ids_;
};

Json object_of(const char* name, Json content) {
  Json object = Json::object();
  object[name] = std::move(content);
  return object;
}

Json typed_piece(const char* kind, const std::string& name, int type) {
  Json content = Json::object();
  content["id"] = name;
  content["type_id"] = type;
  return object_of(kind, std::move(content));
}

}  // namespace

Result<SequenceFrame> read_frame(const FilePlace& place, const Json& processor, const TokenIds& ids) {
  return FrameReader(place, ids).read("post_processor", processor);
}

Json frame_document(const SequenceFrame& frame, const std::vector<std::string>& texts) {
  if (frame == SequenceFrame()) return nullptr;
  Json single = Json::array(), pair = Json::array(), tokens = Json::object();
  const auto specials = [&](const std::vector<int32_t>& ids, Json* list, int type) {
    for (const int32_t id : ids) {
      const std::string& text = texts[static_cast<size_t>(id)];
      list->push_back(typed_piece("SpecialToken", text, type));
      Json entry = Json::object();
      entry["id"] = text;
      entry["ids"] = Json::array({id});
      entry["tokens"] = Json::array({text});
      tokens[text] = std::move(entry);
    }
  };
  for (Json* list : {&single, &pair}) {
    specials(frame.prefix, list, 0);
    list->push_back(typed_piece("Sequence", "A", 0));
    specials(frame.suffix, list, 0);
  }
  pair.push_back(typed_piece("Sequence", "B", 1));
  specials(frame.suffix, &pair, 1);
  Json processor = Json::object();
  processor["type"] = "TemplateProcessing";
  processor["single"] = std::move(single);
  processor["pair"] = std::move(pair);
  processor["special_tokens"] = std::move(tokens);
  return processor;
}

}  // namespace strand
