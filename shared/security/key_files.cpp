#include "shared/security/key_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "shared/base/text.h"

namespace strand {
namespace {

constexpr const char* kMakeOne = "make one with \"strand keys new\"";

Status create_file(const std::string& path, mode_t mode, const std::string& content) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0 && errno == EEXIST) {
    return Error(ErrorCode::kConflict,
                 concat(path, " exists and keys are never overwritten: remove it, or choose another name"));
  }
  if (file < 0) return bad_input(concat("cannot create ", path, ": ", std::strerror(errno)));
  const bool written = ::write(file, content.data(), content.size()) == static_cast<ssize_t>(content.size());
  const bool synced = written && ::fsync(file) == 0;
  const int number = errno;
  ::close(file);
  if (synced) return {};
  ::unlink(path.c_str());
  return unavailable(concat("cannot write ", path, ": ", std::strerror(number)));
}

// Keys of a file with their line numbers checked.
Result<std::vector<std::string>> read_keys(const std::string& path) {
  std::ifstream file(path);
  if (!file) return not_found(concat("cannot read the key file ", path, ": ", std::strerror(errno), ": ", kMakeOne));
  std::vector<std::string> keys;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const std::string key(trim(line));
    if (key.empty() || key == "#" || key.starts_with("# ")) continue;  // '#' alone also occurs in keys
    if (!is_curve_key(key)) {
      return bad_input(concat(path, ": line ", number, ": not a key: expected 40 characters of Z85 text, found ",
                              key.size(), " characters"));
    }
    keys.push_back(key);
  }
  return keys;
}

Result<std::string> read_one_key(const std::string& path) {
  STRAND_ASSIGN(const std::vector<std::string> keys, read_keys(path));
  if (keys.size() != 1) return bad_input(concat(path, ": expected one key, found ", keys.size(), ": ", kMakeOne));
  return keys[0];
}

}  // namespace

Result<CurvePair> new_key_files(const std::string& path) {
  STRAND_ASSIGN(CurvePair pair, generate_curve_pair());
  STRAND_TRY(create_file(path, 0600, concat("# Strand secret key: keep it to yourself\n", pair.secret_key, "\n")));
  const Status shared = create_file(path + ".pub", 0644, concat("# Strand public key\n", pair.public_key, "\n"));
  if (!shared.ok()) {
    ::unlink(path.c_str());
    return shared.error();
  }
  return pair;
}

Result<CurvePair> load_secret_key(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && (status.st_mode & 077) != 0) {
    return bad_input(concat("the secret key ", path, " can be read or changed by other users: chmod 600 ", path));
  }
  STRAND_ASSIGN(const std::string secret, read_one_key(path));
  STRAND_ASSIGN(const std::string public_key, curve_public_key(secret));
  return CurvePair{public_key, secret};
}

Result<std::vector<std::string>> load_public_keys(const std::string& path) {
  return read_keys(path);
}

Result<CurveKeys> load_curve_keys(const std::string& secret, const std::string& server_public,
                                  const std::string& allowed_clients) {
  CurveKeys keys;
  STRAND_ASSIGN(const CurvePair pair, load_secret_key(secret));
  keys.public_key = pair.public_key;
  keys.secret_key = pair.secret_key;
  if (!server_public.empty()) {
    STRAND_ASSIGN(keys.server_public_key, read_one_key(server_public));
  }
  if (!allowed_clients.empty()) {
    STRAND_ASSIGN(keys.allowed_clients, load_public_keys(allowed_clients));
  }
  return keys;
}

}  // namespace strand
