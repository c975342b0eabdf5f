// Collectives and transfers among the ranks of one run: start, poll, abort. Nothing here ever blocks except
// construction of a backend, and nothing here has a timeout: comm/await.h is the only code that turns waiting into a
// failure.
//
// Contract of every operation: the views stay valid and untouched until poll() has returned complete; all members of
// the group start the operations of that group in the same order, with the same dtype and (unless said otherwise) the
// same count. A violation shows as a failure or a hang, never as silently wrong data of another size.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "comm/group.h"
#include "comm/rank.h"
#include "failures/result.h"
#include "kernels/tensor_view.h"

namespace ftl {

struct Ticket {
  std::uint64_t number;  // the n-th operation started on this communicator, from 1
};
enum class Progress : std::uint8_t { pending, complete };
enum class ReduceOp : std::uint8_t { sum, max, min };

// Device work that must be finished before the operation may read its views, and that later work is ordered after.
// Null for host memory, where work is finished when its call returns.
struct StreamHandle {
  void* stream = nullptr;
};

struct BackendTraits {
  std::string name;          // "mpi", "nccl", "fake"
  std::string version;       // of the library beneath: "Open MPI 4.1.4"
  bool host_memory = false;  // which places views may live in
  bool cuda_memory = false;
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual Rank rank() const = 0;
  virtual WorldSize world() const = 0;
  virtual const BackendTraits& traits() const = 0;

  // In place: afterwards every member holds the reduction. Order of additions is the library's: not for exact sums.
  virtual Result<Ticket> start_all_reduce(const Group&, TensorView, ReduceOp, StreamHandle) = 0;
  // `to` has members x from.count elements, in member order.
  virtual Result<Ticket> start_all_gather(const Group&, TensorView from, TensorView to, StreamHandle) = 0;
  // `from` has members x to.count elements; member i receives the sum of everyone's i-th part.
  virtual Result<Ticket> start_reduce_scatter(const Group&, TensorView from, TensorView to, StreamHandle) = 0;
  virtual Result<Ticket> start_broadcast(const Group&, TensorView, Rank root, StreamHandle) = 0;
  // At the root `to` has members x from.count elements; elsewhere `to` is ignored.
  virtual Result<Ticket> start_gather(const Group&, TensorView from, TensorView to, Rank root, StreamHandle) = 0;
  virtual Result<Ticket> start_send(TensorView, Rank to, StreamHandle) = 0;
  virtual Result<Ticket> start_receive(TensorView, Rank from, StreamHandle) = 0;

  // A completed ticket may be polled again; an error is final for the communicator.
  virtual Result<Progress> poll(Ticket) = 0;
  // After abort every poll fails. Returns at once; it may leave peers waiting, so a launcher must end them.
  virtual void abort() noexcept = 0;
};

// What a backend's shared object needs to join the world of one attempt.
struct BackendOptions {
  Rank rank;
  WorldSize world;
  std::string meeting_file =
      {};          // nccl: a path of this attempt that all ranks see; rank 0 leaves the world's key there
  int device = 0;  // nccl: ordinal of this rank's GPU
};

// It may block until all ranks have joined; a rank that never comes is found by the launcher's watchdog, from outside.
using MakeCommunicatorResult = Result<std::unique_ptr<Communicator>>;
using MakeCommunicator = MakeCommunicatorResult (*)(const BackendOptions&);

}  // namespace ftl

// Every backend's shared object defines this.
extern "C" __attribute__((visibility("default"))) const ftl::MakeCommunicator ftl_make_communicator;
