// Function lengths by counting braces: no parser, but right for the way this repository is formatted.
#include <algorithm>
#include <cctype>
#include <regex>

#include "tests/tidy/rules.h"

namespace strand::tidy {
namespace {

class Blanker {
 public:
  explicit Blanker(std::string_view text) : text_(text), out_(text) {}

  std::string run() {
    while (at_ < text_.size()) {
      if (starts("//")) {
        blank_until(text_.find('\n', at_));
      } else if (starts("/*")) {
        blank_past("*/", 2);
      } else if (starts("R\"") && !is_name(at_ - 1)) {
        const size_t open = text_.find('(', at_);
        if (open == std::string_view::npos) break;
        const std::string close = ")" + std::string(text_.substr(at_ + 2, open - at_ - 2)) + "\"";
        blank_past(close, open - at_);
      } else if (text_[at_] == '"' || (text_[at_] == '\'' && !is_name(at_ - 1))) {
        blank_quoted(text_[at_]);
      } else {
        ++at_;
      }
    }
    return out_;
  }

 private:
  bool starts(std::string_view word) const { return text_.substr(at_).starts_with(word); }
  // A letter or digit there: 1'000 holds no character literal, and nameR"..." no raw string.
  bool is_name(size_t at) const {
    return at < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at])) || text_[at] == '_');
  }

  void blank_until(size_t end) {
    for (end = std::min(end, text_.size()); at_ < end; ++at_) {
      if (text_[at_] != '\n') out_[at_] = ' ';
    }
  }
  void blank_past(std::string_view close, size_t from) {
    const size_t found = text_.find(close, at_ + from);
    blank_until(found == std::string_view::npos ? found : found + close.size());
  }
  void blank_quoted(char quote) {
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote && text_[end] != '\n') end += text_[end] == '\\' ? 2 : 1;
    blank_until(end + 1);
  }

  std::string_view text_;
  std::string out_;
  size_t at_ = 0;
};

// Preprocessor lines, with their continuations, out of literal-free text.
void blank_preprocessor(std::string* text) {
  bool continued = false;
  for (size_t start = 0; start < text->size();) {
    const size_t end = std::min(text->find('\n', start), text->size());
    const size_t first = text->find_first_not_of(" \t", start);
    const bool directive = continued || (first < end && (*text)[first] == '#');
    continued = directive && end > start && (*text)[end - 1] == '\\';
    if (directive)
      std::fill(text->begin() + static_cast<std::ptrdiff_t>(start), text->begin() + static_cast<std::ptrdiff_t>(end),
                ' ');
    start = end + 1;
  }
}

enum class Scope { kOuter, kFunction, kInner };

// What a brace opens that follows `head`, the text since the last statement.
Scope classify(const std::string& head) {
  static const std::regex kType(
      "^\\s*(template\\s*<.*>\\s*)?((public|protected|private)\\s*:\\s*)?"
      "(typedef\\s+|inline\\s+)?(namespace|class|struct|union|extern)\\b");
  if (std::regex_search(head, kType)) return Scope::kOuter;
  if (head.find('(') != std::string::npos) return Scope::kFunction;
  return Scope::kInner;
}

}  // namespace

std::string blank_literals(std::string_view text) {
  return Blanker(text).run();
}

std::vector<FunctionLength> function_lengths(std::string_view source) {
  std::string text = blank_literals(source);
  blank_preprocessor(&text);
  std::vector<FunctionLength> functions;
  std::vector<Scope> scopes;
  std::string head;
  size_t line = 1, opened = 0;
  int parentheses = 0;
  for (const char c : text) {
    if (c == '\n') ++line;
    if (c == '(') ++parentheses;
    if (c == ')') --parentheses;
    if (c == '{') {
      const bool outer = scopes.empty() || scopes.back() == Scope::kOuter;
      const Scope scope = outer && parentheses == 0 ? classify(head) : Scope::kInner;
      if (scope == Scope::kFunction) opened = line;
      scopes.push_back(scope);
    } else if (c == '}' && !scopes.empty()) {
      if (scopes.back() == Scope::kFunction) functions.push_back({opened, line - opened + 1});
      scopes.pop_back();
    }
    if (parentheses == 0 && (c == ';' || c == '{' || c == '}')) {
      head.clear();
    } else {
      head.push_back(c == '\n' ? ' ' : c);
    }
  }
  return functions;
}

}  // namespace strand::tidy
