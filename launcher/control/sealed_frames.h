// What travels between launcher and keepers, before it has a meaning: length-prefixed frames, each sealed by a MAC.
// Both sides prove that they know the run's secret by answering the other's nonce; the key of the session is derived
// from both nonces, so nothing recorded from one connection is worth anything on another, and the sequence number makes
// a repeated frame a bad one.
//
//   frame      u32 little-endian length of the body (at most 1 MiB), body
//   challenge  launcher -> keeper   "ftl-control/1" nonce[16]
//   response   keeper -> launcher   nonce[16] HMAC-SHA256(secret, "keeper" nonces)[32]
//   welcome    launcher -> keeper   HMAC-SHA256(secret, "launcher" nonces)[32]
//   then       both ways            HMAC-SHA256(session key, direction sequence payload)[16] payload
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "failures/result.h"

namespace ftl {

inline constexpr std::size_t frame_limit = std::size_t{1} << 20;  // bytes of a body
inline constexpr std::size_t handshake_frame_limit = 128;         // before the peer has proved who it is
inline constexpr std::size_t mac_bytes = 16;
inline constexpr std::size_t payload_limit = frame_limit - mac_bytes;

std::string random_bytes(std::size_t count);  // from the operating system; aborts when it has none
std::string to_hex(std::string_view bytes);

// The body with its length in front. `body` is at most frame_limit bytes.
std::string framed(std::string_view body);

// Cuts a stream of bytes into bodies. A length beyond the limit is a failure, found before anything is allocated for
// it.
class FrameBuffer {
 public:
  explicit FrameBuffer(std::size_t limit) : limit_(limit) {}
  void set_limit(std::size_t limit) { limit_ = limit; }
  void feed(std::string_view bytes) { bytes_.append(bytes); }
  Result<std::optional<std::string>> next();  // nullopt: not complete yet

 private:
  std::size_t limit_;
  std::string bytes_;
};

enum class Side : std::uint8_t { launcher = 1, keeper = 2 };

// An authenticated connection as one side sees it. Frames must be opened in the order in which they were sealed.
class Session {
 public:
  Session(Side side, std::string key) : side_(side), key_(std::move(key)) {}
  std::string seal(std::string_view payload);       // the body of a frame; payload at most payload_limit bytes
  Result<std::string> open(std::string_view body);  // the payload; a wrong MAC, order or direction is a failure

 private:
  Side side_;
  std::string key_;
  std::uint64_t sealed_ = 0;
  std::uint64_t opened_ = 0;
};

// The launcher's side of the handshake. One object a connection.
class LauncherHandshake {
 public:
  explicit LauncherHandshake(std::string secret);
  std::string challenge() const;  // body of the first frame
  struct Accepted {
    std::string welcome;
    Session session;
  };
  Result<Accepted> accept(std::string_view response) const;

 private:
  std::string secret_;
  std::string nonce_;
};

// The keeper's side.
class KeeperHandshake {
 public:
  explicit KeeperHandshake(std::string secret);
  Result<std::string> respond(std::string_view challenge);
  Result<Session> confirm(std::string_view welcome) const;

 private:
  std::string secret_;
  std::string nonce_;
  std::string nonces_;  // the launcher's, then ours
};

}  // namespace ftl
