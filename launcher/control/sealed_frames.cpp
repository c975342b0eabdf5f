#include "launcher/control/sealed_frames.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <cassert>
#include <cstdlib>

namespace ftl {
namespace {

constexpr std::string_view greeting = "ftl-control/1";
constexpr std::size_t nonce_bytes = 16;
constexpr std::size_t digest_bytes = 32;

std::string hmac_sha256(std::string_view key, std::string_view text) {
  std::string digest(digest_bytes, '\0');
  unsigned int length = 0;
  const auto* made =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
           text.size(), reinterpret_cast<unsigned char*>(digest.data()), &length);
  if (made == nullptr || length != digest_bytes) std::abort();  // SHA-256 is always there; without it nothing may go on
  return digest;
}

// In constant time, so that an answer does not tell how many of its bytes were right.
bool equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string mac_of(std::string_view key, Side from, std::uint64_t sequence, std::string_view payload) {
  std::string text;
  text.reserve(9 + payload.size());
  text.push_back(static_cast<char>(from));
  for (int byte = 0; byte < 8; ++byte) text.push_back(static_cast<char>(sequence >> (8 * byte)));
  text.append(payload);
  return hmac_sha256(key, text).substr(0, mac_bytes);
}

Failure refused(std::string what) {
  return {FaultKind::communication_failure, std::move(what), "control connection", ""};
}

std::string joined(std::string_view first, std::string_view second) { return std::string(first).append(second); }

}  // namespace

std::string random_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) != 1) std::abort();
  return bytes;
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text.push_back(digits[byte >> 4]);
    text.push_back(digits[byte & 15]);
  }
  return text;
}

std::string framed(std::string_view body) {
  assert(body.size() <= frame_limit);
  std::string frame;
  frame.reserve(4 + body.size());
  for (int byte = 0; byte < 4; ++byte) frame.push_back(static_cast<char>(body.size() >> (8 * byte)));
  return frame.append(body);
}

Result<std::optional<std::string>> FrameBuffer::next() {
  if (bytes_.size() < 4) return std::optional<std::string>{};
  std::uint32_t length = 0;
  for (std::size_t byte = 0; byte < 4; ++byte) {
    length |= std::uint32_t{static_cast<unsigned char>(bytes_[byte])} << (8 * byte);
  }
  if (length > limit_) {
    return refused("a frame of " + std::to_string(length) + " bytes was announced, at most " + std::to_string(limit_) +
                   " are allowed");
  }
  if (bytes_.size() < 4 + std::size_t{length}) return std::optional<std::string>{};
  std::string body = bytes_.substr(4, length);
  bytes_.erase(0, 4 + std::size_t{length});
  return std::optional<std::string>(std::move(body));
}

std::string Session::seal(std::string_view payload) {
  assert(payload.size() <= payload_limit);
  return joined(mac_of(key_, side_, sealed_++, payload), payload);
}

Result<std::string> Session::open(std::string_view body) {
  if (body.size() < mac_bytes) return refused("a frame is shorter than its MAC");
  const std::string_view payload = body.substr(mac_bytes);
  const Side other = side_ == Side::launcher ? Side::keeper : Side::launcher;
  if (!equal(body.substr(0, mac_bytes), mac_of(key_, other, opened_, payload))) {
    return refused("frame " + std::to_string(opened_) + " has a wrong MAC: it was altered, repeated or reordered");
  }
  ++opened_;
  return std::string(payload);
}

LauncherHandshake::LauncherHandshake(std::string secret)
    : secret_(std::move(secret)), nonce_(random_bytes(nonce_bytes)) {}

std::string LauncherHandshake::challenge() const { return joined(greeting, nonce_); }

Result<LauncherHandshake::Accepted> LauncherHandshake::accept(std::string_view response) const {
  if (response.size() != nonce_bytes + digest_bytes) return refused("the response to the challenge has a wrong length");
  const std::string nonces = joined(nonce_, response.substr(0, nonce_bytes));
  if (!equal(response.substr(nonce_bytes), hmac_sha256(secret_, joined("keeper", nonces)))) {
    return refused("a peer does not know the secret of this run");
  }
  return Accepted{hmac_sha256(secret_, joined("launcher", nonces)),
                  Session(Side::launcher, hmac_sha256(secret_, joined("session", nonces)))};
}

KeeperHandshake::KeeperHandshake(std::string secret) : secret_(std::move(secret)), nonce_(random_bytes(nonce_bytes)) {}

Result<std::string> KeeperHandshake::respond(std::string_view challenge) {
  if (challenge.size() != greeting.size() + nonce_bytes || challenge.substr(0, greeting.size()) != greeting) {
    return refused("what listens at the control address is not a launcher of this version");
  }
  nonces_ = joined(challenge.substr(greeting.size()), nonce_);
  return joined(nonce_, hmac_sha256(secret_, joined("keeper", nonces_)));
}

Result<Session> KeeperHandshake::confirm(std::string_view welcome) const {
  if (!equal(welcome, hmac_sha256(secret_, joined("launcher", nonces_)))) {
    return refused("the launcher does not know the secret of this run");
  }
  return Session(Side::keeper, hmac_sha256(secret_, joined("session", nonces_)));
}

}  // namespace ftl
