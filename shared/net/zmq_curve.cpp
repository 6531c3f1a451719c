#include <zmq.h>

#include <array>

#include "shared/base/text.h"
#include "shared/net/curve.h"

namespace strand {
namespace {
constexpr size_t kKeyText = 40, kKeyBytes = 32;
}

Result<CurvePair> generate_curve_pair() {
  std::array<char, kKeyText + 1> public_key{}, secret_key{};
  if (zmq_curve_keypair(public_key.data(), secret_key.data()) != 0) {
    return unavailable(concat("cannot make CURVE keys: ", zmq_strerror(zmq_errno()),
                              " (the ZeroMQ library must be built with libsodium, as Debian's libzmq5 is)"));
  }
  return CurvePair{public_key.data(), secret_key.data()};
}

Result<std::string> curve_public_key(const std::string& secret_key) {
  std::array<char, kKeyText + 1> public_key{};
  if (!is_curve_key(secret_key) || zmq_curve_public(public_key.data(), secret_key.c_str()) != 0) {
    return bad_input(concat("not a CURVE secret key: expected ", kKeyText, " characters of Z85 text, found ",
                            secret_key.size(), " characters: make one with \"strand keys new\""));
  }
  return std::string(public_key.data());
}

bool is_curve_key(const std::string& text) {
  std::array<uint8_t, kKeyBytes> bytes{};
  return text.size() == kKeyText && text.find('\0') == std::string::npos &&
         zmq_z85_decode(bytes.data(), text.c_str()) != nullptr;
}

}  // namespace strand
