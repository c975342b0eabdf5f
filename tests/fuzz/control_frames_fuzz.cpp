// Bytes at the control port, before and after the handshake: whatever the pieces in which they come, the frames are the
// same, none is longer than the limit, and nobody passes who does not know the secret.
#include "launcher/control/sealed_frames.h"

#include <vector>

#include "tests/fuzz/fuzz_target.h"

namespace ftl {
namespace {

struct Cut {
  std::vector<std::string> bodies;
  bool refused = false;
  bool operator==(const Cut&) const = default;
};

Cut cut(std::string_view stream, std::size_t piece, std::size_t limit) {
  FrameBuffer frames(limit);
  Cut cut;
  for (std::size_t at = 0; at < stream.size() && !cut.refused; at += piece) {
    frames.feed(stream.substr(at, piece));
    for (auto body = frames.next(); !cut.refused; body = frames.next()) {
      if (body && !body->has_value()) break;
      cut.refused = !body;
      if (body) cut.bodies.push_back(std::move(**body));
    }
  }
  return cut;
}

bool run(std::string_view input) {
  const Cut whole = cut(input, input.size() + 1, handshake_frame_limit);
  must(cut(input, 1, handshake_frame_limit) == whole && cut(input, 7, handshake_frame_limit) == whole,
       "frames do not depend on the pieces in which they come");
  std::string again;
  for (const std::string& body : whole.bodies) {
    must(body.size() <= handshake_frame_limit, "a frame is within its limit");
    again += framed(body);
  }
  must(input.starts_with(again), "frames are what was sent");

  Session launcher(Side::launcher, "key"), keeper(Side::keeper, "key");
  LauncherHandshake greeter("a secret");
  KeeperHandshake answerer("a secret");
  for (const std::string& body : whole.bodies) {
    must(!launcher.open(body) && !keeper.open(body), "a frame without its MAC is not opened");
    must(!greeter.accept(body), "a response without the secret is not accepted");
    (void)answerer.respond(body);
    must(!answerer.confirm(body), "a welcome without the secret is not confirmed");
  }
  const Result<std::string> opened = launcher.open(keeper.seal(input));
  must(opened && *opened == input, "what is sealed is opened");
  return !whole.bodies.empty();
}

const FuzzTarget target("control_frames", run);

}  // namespace
}  // namespace ftl
