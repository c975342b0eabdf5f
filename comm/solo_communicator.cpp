#include "comm/solo_communicator.h"

#include <cstring>

namespace ftl {
namespace {

class SoloCommunicator final : public Communicator {
 public:
  Rank rank() const override { return Rank{0}; }
  WorldSize world() const override { return WorldSize{1}; }
  const BackendTraits& traits() const override { return traits_; }

  Result<Ticket> start_all_reduce(const Group&, TensorView, ReduceOp, StreamHandle) override { return next(); }
  Result<Ticket> start_all_gather(const Group&, TensorView from, TensorView to, StreamHandle) override {
    return copy(from, to);
  }
  Result<Ticket> start_reduce_scatter(const Group&, TensorView from, TensorView to, StreamHandle) override {
    return copy(from, to);
  }
  Result<Ticket> start_broadcast(const Group&, TensorView, Rank, StreamHandle) override { return next(); }
  Result<Ticket> start_gather(const Group&, TensorView from, TensorView to, Rank, StreamHandle) override {
    return copy(from, to);
  }
  Result<Ticket> start_send(TensorView, Rank to, StreamHandle) override { return no_peer(to); }
  Result<Ticket> start_receive(TensorView, Rank from, StreamHandle) override { return no_peer(from); }

  Result<Progress> poll(Ticket) override {
    if (aborted_) return Failure{FaultKind::communication_failure, "the communicator was aborted", "rank 0", ""};
    return Progress::complete;
  }
  void abort() noexcept override { aborted_ = true; }

 private:
  Ticket next() { return Ticket{++started_}; }

  Result<Ticket> copy(TensorView from, TensorView to) {
    if (from.bytes() != to.bytes()) {
      return Failure{
          FaultKind::internal_error,
          "views of different size: " + std::to_string(from.bytes()) + " and " + std::to_string(to.bytes()) + " bytes",
          "rank 0", ""};
    }
    if (from.data != to.data) std::memcpy(to.data, from.data, static_cast<std::size_t>(from.bytes()));
    return next();
  }

  static Result<Ticket> no_peer(Rank peer) {
    return Failure{FaultKind::internal_error, "rank " + std::to_string(peer.value) + " is not in a world of one",
                   "rank 0", ""};
  }

  BackendTraits traits_{"none", "a world of one rank", true, false};
  std::uint64_t started_ = 0;
  bool aborted_ = false;
};

}  // namespace

std::unique_ptr<Communicator> make_solo_communicator() { return std::make_unique<SoloCommunicator>(); }

}  // namespace ftl
