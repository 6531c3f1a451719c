#include "dataserver/tokenizer/unicode_class.h"

#include <utf8proc.h>

#include "dataserver/tokenizer/utf8.h"

namespace strand {
namespace {

utf8proc_category_t category(uint32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

bool is_letter(utf8proc_category_t category) {
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool is_number(utf8proc_category_t category) {
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

// Circled and squared Latin letters: symbols by category, but Other_Alphabetic in PropList.txt. The rest of that
// property are marks.
bool is_alphabetic_symbol(uint32_t code) {
  return (code >= 0x24b6 && code <= 0x24e9) || (code >= 0x1f130 && code <= 0x1f149) ||
         (code >= 0x1f150 && code <= 0x1f169) || (code >= 0x1f170 && code <= 0x1f189);
}

}  // namespace

CharacterClass character_class(uint32_t code) {
  if (is_white_space(code)) return CharacterClass::kWhiteSpace;
  const utf8proc_category_t found = category(code);
  if (is_letter(found)) return CharacterClass::kLetter;
  return is_number(found) ? CharacterClass::kNumber : CharacterClass::kOther;
}

bool is_word_character(uint32_t code) {
  const utf8proc_category_t found = category(code);
  const bool mark = found >= UTF8PROC_CATEGORY_MN && found <= UTF8PROC_CATEGORY_ME;
  return is_letter(found) || mark || found == UTF8PROC_CATEGORY_ND || found == UTF8PROC_CATEGORY_NL ||
         found == UTF8PROC_CATEGORY_PC || code == 0x200c || code == 0x200d || is_alphabetic_symbol(code);
}

}  // namespace strand
