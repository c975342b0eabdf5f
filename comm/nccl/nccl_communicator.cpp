// The world over NCCL, on GPU memory: libftl_nccl.so. The library's communicator is non-blocking, so a call may still
// be under way when it returns, and no other call may follow until it is through: operations wait in a queue that
// start() and poll() move on. Complete is what the library has accepted and an event behind it on the stream has
// confirmed.
#include <cuda_runtime.h>
#include <nccl.h>

#include <cstdio>
#include <deque>
#include <fstream>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "comm/clock.h"
#include "comm/communicator.h"
#include "comm/open_operations.h"

namespace ftl {

namespace {

std::optional<ncclDataType_t> type_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return ncclFloat32;
    case DType::bf16: return ncclBfloat16;
    case DType::f16: return ncclFloat16;
    case DType::i32: return ncclInt32;
    case DType::i64: return ncclInt64;
    case DType::u8: return ncclUint8;
  }
  return std::nullopt;
}

ncclRedOp_t operation_of(ReduceOp op) {
  return op == ReduceOp::sum ? ncclSum : op == ReduceOp::max ? ncclMax : ncclMin;
}

bool accepted(ncclResult_t result) { return result == ncclSuccess || result == ncclInProgress; }

std::string version_of_library() {
  int version = 0;
  ncclGetVersion(&version);
  return "NCCL " + std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(ncclComm_t comm, Rank rank, WorldSize world)
      : comm_(comm), rank_(rank), world_(world), traits_{"nccl", version_of_library(), false, true} {}
  ~NcclCommunicator() override {
    for (auto& [number, operation] : operations_) {
      if (operation.event != nullptr) cudaEventDestroy(operation.event);
    }
    abort();  // an orderly ncclCommDestroy would wait for peers
  }
  Rank rank() const override { return rank_; }
  WorldSize world() const override { return world_; }
  const BackendTraits& traits() const override { return traits_; }

  Result<Ticket> start_all_reduce(const Group& group, TensorView view, ReduceOp op, StreamHandle stream) override {
    return start(group, {view}, stream, [=, this](cudaStream_t s) {
      return ncclAllReduce(view.data, view.data, size(view), *type_of(view.dtype), operation_of(op), comm_, s);
    });
  }
  Result<Ticket> start_all_gather(const Group& group, TensorView from, TensorView to, StreamHandle stream) override {
    if (to.count != from.count * world_.value) return wrong_size(to.count, from.count * world_.value);
    return start(group, {from, to}, stream, [=, this](cudaStream_t s) {
      return ncclAllGather(from.data, to.data, size(from), *type_of(from.dtype), comm_, s);
    });
  }
  Result<Ticket> start_reduce_scatter(const Group& group, TensorView from, TensorView to,
                                      StreamHandle stream) override {
    if (from.count != to.count * world_.value) return wrong_size(from.count, to.count * world_.value);
    return start(group, {from, to}, stream, [=, this](cudaStream_t s) {
      return ncclReduceScatter(from.data, to.data, size(to), *type_of(to.dtype), ncclSum, comm_, s);
    });
  }
  Result<Ticket> start_broadcast(const Group& group, TensorView view, Rank root, StreamHandle stream) override {
    return start(group, {view}, stream, [=, this](cudaStream_t s) {
      return ncclBroadcast(view.data, view.data, size(view), *type_of(view.dtype), root.value, comm_, s);
    });
  }
  Result<Ticket> start_gather(const Group& group, TensorView from, TensorView to, Rank root,
                              StreamHandle stream) override {
    if (rank_ == root && to.count != from.count * world_.value) return wrong_size(to.count, from.count * world_.value);
    return start(group, {from}, stream, [=, this](cudaStream_t s) {
      ncclGroupStart();
      ncclSend(from.data, size(from), *type_of(from.dtype), root.value, comm_, s);
      for (std::int32_t peer = 0; rank_ == root && peer < world_.value; ++peer) {
        ncclRecv(static_cast<std::byte*>(to.data) + peer * from.bytes(), size(from), *type_of(from.dtype), peer, comm_,
                 s);
      }
      return ncclGroupEnd();  // reports what any of them refused
    });
  }
  Result<Ticket> start_send(TensorView view, Rank to, StreamHandle stream) override {
    return start({}, {view}, stream, [=, this](cudaStream_t s) {
      return ncclSend(view.data, size(view), *type_of(view.dtype), to.value, comm_, s);
    });
  }
  Result<Ticket> start_receive(TensorView view, Rank from, StreamHandle stream) override {
    return start({}, {view}, stream, [=, this](cudaStream_t s) {
      return ncclRecv(view.data, size(view), *type_of(view.dtype), from.value, comm_, s);
    });
  }

  Result<Progress> poll(Ticket ticket) override {
    move_on();
    if (failure_) return *failure_;
    if (!operations_.was_started(ticket))
      return failure("operation " + std::to_string(ticket.number) + " was never started");
    const Operation* const operation = operations_.find(ticket);
    if (operation == nullptr) return Progress::complete;
    if (operation->event == nullptr) return Progress::pending;
    const cudaError_t state = cudaEventQuery(operation->event);
    if (state == cudaErrorNotReady) return Progress::pending;
    if (state != cudaSuccess) return failure(std::string("CUDA says ") + cudaGetErrorString(state));
    cudaEventDestroy(operation->event);
    operations_.complete(ticket);
    return Progress::complete;
  }

  void abort() noexcept override {
    if (comm_ != nullptr) ncclCommAbort(comm_);
    comm_ = nullptr;
    if (!failure_)
      failure_.emplace(Failure{FaultKind::communication_failure, "the communicator was aborted", where(), ""});
  }

 private:
  struct Operation {
    std::function<ncclResult_t(cudaStream_t)> call;
    cudaStream_t stream = nullptr;
    cudaEvent_t event = nullptr;  // recorded once the library has accepted the call
  };

  static std::size_t size(const TensorView& view) { return static_cast<std::size_t>(view.count); }
  std::string where() const { return "rank " + std::to_string(rank_.value); }
  Failure failure(std::string what) {
    if (!failure_) failure_ = Failure{FaultKind::communication_failure, std::move(what), where(), ""};
    return *failure_;
  }
  Failure wrong_size(std::int64_t count, std::int64_t needed) {
    return failure("a view has " + std::to_string(count) + " elements, the operation needs " + std::to_string(needed));
  }

  Result<Ticket> start(const Group& group, std::initializer_list<TensorView> views, StreamHandle stream,
                       std::function<ncclResult_t(cudaStream_t)> call) {
    if (failure_) return *failure_;
    if (!group.members.empty() && static_cast<std::int32_t>(group.members.size()) != world_.value) {
      return Failure{
          FaultKind::not_in_this_version,
          "NCCL works on the whole world only, a group of " + std::to_string(group.members.size()) + " was asked for",
          where(), ""};
    }
    for (const TensorView& view : views) {
      if (view.place != Place::cuda) return failure("NCCL works on GPU memory, the view lies on the host");
    }
    const Ticket ticket = operations_.add({std::move(call), static_cast<cudaStream_t>(stream.stream), nullptr});
    waiting_.push_back(operations_.find(ticket));
    move_on();
    if (failure_) return *failure_;
    return ticket;
  }

  // Confirms the call under way and hands the next ones to the library, as far as it takes them.
  void move_on() {
    while (!failure_ && (under_way_ || !waiting_.empty())) {
      ncclResult_t state = ncclSuccess;
      const ncclResult_t asked = ncclCommGetAsyncError(comm_, &state);
      if (asked != ncclSuccess || !accepted(state)) {
        failure(std::string("NCCL says ") + ncclGetErrorString(asked != ncclSuccess ? asked : state) + ": " +
                ncclGetLastError(comm_));
        return;
      }
      if (state == ncclInProgress) return;
      if (under_way_) {
        confirm(*std::exchange(under_way_, nullptr));
        continue;
      }
      under_way_ = waiting_.front();
      waiting_.pop_front();
      if (const ncclResult_t result = under_way_->call(under_way_->stream); !accepted(result)) {
        failure(std::string("NCCL says ") + ncclGetErrorString(result) + ": " + ncclGetLastError(comm_));
      }
    }
  }

  void confirm(Operation& operation) {
    cudaError_t error = cudaEventCreateWithFlags(&operation.event, cudaEventDisableTiming);
    if (error == cudaSuccess) error = cudaEventRecord(operation.event, operation.stream);
    if (error != cudaSuccess) failure(std::string("CUDA says ") + cudaGetErrorString(error));
  }

  ncclComm_t comm_;
  Rank rank_;
  WorldSize world_;
  BackendTraits traits_;
  OpenOperations<Operation> operations_;
  std::deque<Operation*> waiting_;  // complete only after they were under way
  Operation* under_way_ = nullptr;
  std::optional<Failure> failure_;
};

Failure unavailable(std::string what, const BackendOptions& options) {
  return {FaultKind::backend_unavailable, std::move(what), "rank " + std::to_string(options.rank.value), ""};
}

// Rank 0 makes the world's key; it appears in the meeting file in one piece.
Result<ncclUniqueId> meet(const BackendOptions& options) {
  ncclUniqueId id{};
  if (options.rank == Rank{0}) {
    if (const ncclResult_t result = ncclGetUniqueId(&id); result != ncclSuccess)
      return unavailable(std::string("NCCL says ") + ncclGetErrorString(result), options);
    const std::string fresh = options.meeting_file + ".new";
    std::ofstream(fresh, std::ios::binary).write(id.internal, sizeof(id.internal));
    if (std::rename(fresh.c_str(), options.meeting_file.c_str()) != 0)
      return unavailable("the meeting file cannot be written: " + options.meeting_file, options);
    return id;
  }
  SystemClock clock;
  for (;;) {  // a rank 0 that never comes is found by the watchdog
    std::ifstream file(options.meeting_file, std::ios::binary);
    if (file.read(id.internal, sizeof(id.internal))) return id;
    clock.sleep_until(clock.now() + std::chrono::milliseconds(10));
  }
}

MakeCommunicatorResult make(const BackendOptions& options) {
  if (options.meeting_file.empty())
    return unavailable("no meeting file is named, so ranks cannot find each other", options);
  if (const cudaError_t error = cudaSetDevice(options.device); error != cudaSuccess) {
    return unavailable(
        "GPU " + std::to_string(options.device) + " cannot be opened: CUDA says " + cudaGetErrorString(error), options);
  }
  const Result<ncclUniqueId> id = meet(options);
  if (!id) return id.error();
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t comm = nullptr;
  ncclResult_t state = ncclCommInitRankConfig(&comm, options.world.value, *id, options.rank.value, &config);
  SystemClock clock;
  while (state == ncclInProgress) {
    clock.sleep_until(clock.now() + std::chrono::milliseconds(1));
    if (const ncclResult_t asked = ncclCommGetAsyncError(comm, &state); asked != ncclSuccess) state = asked;
  }
  if (state != ncclSuccess)
    return unavailable(std::string("NCCL cannot join the world: ") + ncclGetErrorString(state), options);
  return std::unique_ptr<Communicator>(std::make_unique<NcclCommunicator>(comm, options.rank, options.world));
}

}  // namespace

}  // namespace ftl

const ftl::MakeCommunicator ftl_make_communicator = ftl::make;
