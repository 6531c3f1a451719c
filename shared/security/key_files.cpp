#include "shared/security/key_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

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

std::string why(const std::string& path) {
  return concat(path, ": ", std::strerror(errno), ": ", kMakeOne);
}

// The whole of an open file; keys are short.
Result<std::string> read_all(int file, const std::string& path) {
  std::string text;
  char buffer[4096];
  while (true) {
    const ssize_t got = ::read(file, buffer, sizeof buffer);
    if (got < 0) return unavailable(concat("cannot read ", path, ": ", std::strerror(errno)));
    if (got == 0) return text;
    text.append(buffer, static_cast<size_t>(got));
  }
}

// A line's key and what stands behind it. Keys have no spaces but may begin with '#'.
ListedKey take_apart(std::string_view line) {
  ListedKey entry;
  std::istringstream words{std::string(line)};
  words >> entry.key;
  for (std::string host; words >> host;) entry.hosts.push_back(host);
  return entry;
}

Result<std::vector<ListedKey>> parse_keys(const std::string& text, const std::string& path) {
  std::vector<ListedKey> keys;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const std::string_view content = trim(line);
    if (content.empty() || content == "#" || content.starts_with("# ")) continue;
    ListedKey entry = take_apart(content);
    if (!is_curve_key(entry.key)) {
      return bad_input(concat(path, ": line ", number, ": not a key: expected 40 characters of Z85 text, found ",
                              entry.key.size(), " characters"));
    }
    keys.push_back(std::move(entry));
  }
  return keys;
}

std::string as_in_endpoints(const std::string& host) {
  constexpr std::string_view kLocal = "localhost";
  const bool local = host == kLocal || host.starts_with("localhost:");
  return local ? "127.0.0.1" + host.substr(kLocal.size()) : host;
}

}  // namespace

Result<CurvePair> new_key_files(const std::string& path, const std::vector<std::string>& hosts) {
  STRAND_ASSIGN(CurvePair pair, generate_curve_pair());
  std::string line = pair.public_key;
  for (const std::string& host : hosts) line += " " + host;
  STRAND_TRY(create_file(path, 0600, concat("# Strand secret key: keep it to yourself\n", pair.secret_key, "\n")));
  const Status shared = create_file(path + ".pub", 0644, concat("# Strand public key\n", line, "\n"));
  if (!shared.ok()) {
    ::unlink(path.c_str());
    return shared.error();
  }
  return pair;
}

Result<CurvePair> load_secret_key(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return not_found(concat("cannot read the secret key ", why(path)));
  struct stat status {};
  const bool safe = ::fstat(file, &status) == 0 && (status.st_mode & 077) == 0;
  auto text = safe ? read_all(file, path) : Result<std::string>(std::string());
  ::close(file);
  if (!safe) {
    return bad_input(concat("the secret key ", path, " can be read or changed by other users: chmod 600 ", path));
  }
  if (!text.ok()) return text.error();
  STRAND_ASSIGN(const auto keys, parse_keys(*text, path));
  if (keys.size() != 1) return bad_input(concat(path, ": expected one key, found ", keys.size(), ": ", kMakeOne));
  STRAND_ASSIGN(const std::string public_key, curve_public_key(keys[0].key));
  return CurvePair{public_key, keys[0].key};
}

Result<std::vector<ListedKey>> load_key_list(const std::string& path) {
  std::ifstream file(path);
  if (!file) return not_found(concat("cannot read the list of public keys ", why(path)));
  std::ostringstream text;
  text << file.rdbuf();
  STRAND_ASSIGN(auto keys, parse_keys(text.str(), path));
  std::map<std::string, std::string> seen;
  for (const ListedKey& entry : keys) {
    for (const std::string& host : entry.hosts) {
      const auto [found, added] = seen.emplace(host, entry.key);
      if (!added && found->second != entry.key) {
        return bad_input(concat(path, ": the host ", host, " stands behind two keys, ", found->second, " and ",
                                entry.key, ": remove the old one, or name HOST:PORT"));
      }
    }
  }
  return keys;
}

Result<CurveKeys> load_curve_keys(const std::string& secret, const std::string& list) {
  struct stat status {};
  const bool folder = ::stat(secret.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  STRAND_ASSIGN(const CurvePair pair, load_secret_key(folder ? concat(secret, "/", kKeyFile) : secret));
  STRAND_ASSIGN(const auto listed, load_key_list(list));
  CurveKeys keys;
  keys.public_key = pair.public_key;
  keys.secret_key = pair.secret_key;
  for (const ListedKey& entry : listed) {
    if (entry.key == keys.secret_key) {
      return bad_input(concat(list,
                              ": holds this process's secret key; a list has public keys: make new keys, since "
                              "this one may be known"));
    }
    keys.allowed_clients.push_back(entry.key);
    for (const std::string& host : entry.hosts) keys.servers[as_in_endpoints(host)] = entry.key;
  }
  return keys;
}

}  // namespace strand
