// Result<T>: a value or an Error. No Strand function throws across a folder; fallible functions return Result.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace strand {

// What went wrong, seen from whoever must act on it. The code decides the process's exit code (see exit_code).
enum class ErrorCode {
  kInternal,     // a defect of Strand's own: exit code 1
  kBadInput,     // the user's file, key or message is wrong; never retried: exit code 2
  kNotFound,     // a named thing is absent
  kUnavailable,  // a peer or resource is away for now; retry is sensible
  kDeadline,     // a wait ran out
  kCorrupt,      // stored bytes fail their checksum
  kConflict,     // somebody else holds it (lock, newer generation)
  kStopped,      // stopped on request, resumable: exit code 3
  kGaveUp,       // retries exhausted: exit code 4
};

// "bad_input", "corrupt", ...: as printed in logs.
const char* error_code_name(ErrorCode code);

class Error {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  ErrorCode code() const { return code_; }
  // One clear sentence: the place, what was expected and found, and how to mend it.
  const std::string& message() const { return message_; }

  // Puts "where: " in front of the message: reading job.toml: line 3, column 7: ...
  Error with_context(const std::string& where) const { return Error(code_, where + ": " + message_); }

 private:
  ErrorCode code_;
  std::string message_;
};

// 0 done, 1 internal, 2 bad input, 3 stopped and resumable, 4 given up.
int exit_code(const Error& error);

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

inline Error bad_input(std::string message) {
  return {ErrorCode::kBadInput, std::move(message)};
}
inline Error internal_error(std::string message) {
  return {ErrorCode::kInternal, std::move(message)};
}
inline Error corrupt(std::string message) {
  return {ErrorCode::kCorrupt, std::move(message)};
}
inline Error not_found(std::string message) {
  return {ErrorCode::kNotFound, std::move(message)};
}
inline Error unavailable(std::string message) {
  return {ErrorCode::kUnavailable, std::move(message)};
}

}  // namespace strand

#define STRAND_CONCAT_INNER(a, b) a##b
#define STRAND_CONCAT(a, b) STRAND_CONCAT_INNER(a, b)

// STRAND_TRY(status_expression): returns its error from the enclosing function.
#define STRAND_TRY(expression)                               \
  do {                                                       \
    auto strand_status_ = (expression);                      \
    if (!strand_status_.ok()) return strand_status_.error(); \
  } while (false)

// STRAND_ASSIGN(auto x, result_expression): the value, or returns its error from the enclosing function.
#define STRAND_ASSIGN(declaration, expression) \
  STRAND_ASSIGN_INNER(STRAND_CONCAT(strand_result_, __LINE__), declaration, expression)
#define STRAND_ASSIGN_INNER(name, declaration, expression) \
  auto name = (expression);                                \
  if (!name.ok()) return name.error();                     \
  declaration = std::move(name).value()
