// The world over MPI, on host memory: libftl_mpi.so. Every operation is the library's non-blocking one, polled by
// MPI_Test; errors come back as values (MPI_ERRORS_RETURN on a communicator of our own). MPI is called from one thread.
#define OMPI_SKIP_MPICXX 1  // the long-dead C++ bindings would bring a second library
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <climits>
#include <map>
#include <optional>
#include <vector>

#include "comm/communicator.h"
#include "comm/open_operations.h"

namespace ftl {

namespace {

MPI_Datatype type_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return MPI_FLOAT;
    case DType::i32: return MPI_INT32_T;
    case DType::i64: return MPI_INT64_T;
    case DType::u8: return MPI_UINT8_T;
    case DType::bf16:
    case DType::f16: return MPI_UINT16_T;  // moved, never reduced
  }
  return MPI_BYTE;
}

MPI_Op operation_of(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum: return MPI_SUM;
    case ReduceOp::max: return MPI_MAX;
    case ReduceOp::min: return MPI_MIN;
  }
  return MPI_OP_NULL;
}

std::string message_of(int error) {
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(error, text, &length);
  return std::string(text, static_cast<std::size_t>(length));
}

std::string library_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string whole(text, static_cast<std::size_t>(length));
  std::string version = whole.substr(0, whole.find_first_of(",\n"));  // "Open MPI v4.1.4, package: ..."
  if (const std::size_t v = version.find(" v"); v != std::string::npos) version.erase(v + 1, 1);
  return version;
}

constexpr int transfer_tag = 1;

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(MPI_Comm world_comm, Rank rank, WorldSize world)
      : world_comm_(world_comm), rank_(rank), world_(world), traits_{"mpi", library_version(), true, false} {}

  // Leaves MPI in order only if nothing is open: MPI_Finalize waits for peers, and one that failed never comes.
  ~MpiCommunicator() override {
    if (failure_ || !operations_.empty()) return;
    for (auto& [members, comm] : groups_) MPI_Comm_free(&comm);
    MPI_Comm_free(&world_comm_);
    MPI_Finalize();
  }

  Rank rank() const override { return rank_; }
  WorldSize world() const override { return world_; }
  const BackendTraits& traits() const override { return traits_; }

  Result<Ticket> start_all_reduce(const Group& group, TensorView view, ReduceOp op, StreamHandle) override {
    return start(group, view.dtype, {view}, true, [&](MPI_Comm comm, MPI_Request* request) {
      return MPI_Iallreduce(MPI_IN_PLACE, view.data, static_cast<int>(view.count), type_of(view.dtype),
                            operation_of(op), comm, request);
    });
  }

  Result<Ticket> start_all_gather(const Group& group, TensorView from, TensorView to, StreamHandle) override {
    if (auto wrong = wrong_size(to, members(group) * from.count)) return *wrong;
    return start(group, from.dtype, {from, to}, false, [&](MPI_Comm comm, MPI_Request* request) {
      return MPI_Iallgather(in_place(from, to, group), static_cast<int>(from.count), type_of(from.dtype), to.data,
                            static_cast<int>(from.count), type_of(from.dtype), comm, request);
    });
  }

  Result<Ticket> start_reduce_scatter(const Group& group, TensorView from, TensorView to, StreamHandle) override {
    if (auto wrong = wrong_size(from, members(group) * to.count)) return *wrong;
    return start(group, from.dtype, {from, to}, true, [&](MPI_Comm comm, MPI_Request* request) {
      return MPI_Ireduce_scatter_block(from.data, to.data, static_cast<int>(to.count), type_of(to.dtype), MPI_SUM, comm,
                                       request);
    });
  }

  Result<Ticket> start_broadcast(const Group& group, TensorView view, Rank root, StreamHandle) override {
    const std::optional<int> member = member_of(group, root);
    if (!member) return failure("the root, rank " + std::to_string(root.value) + ", is not a member of the group");
    return start(group, view.dtype, {view}, false, [&](MPI_Comm comm, MPI_Request* request) {
      return MPI_Ibcast(view.data, static_cast<int>(view.count), type_of(view.dtype), *member, comm, request);
    });
  }

  Result<Ticket> start_gather(const Group& group, TensorView from, TensorView to, Rank root, StreamHandle) override {
    const std::optional<int> member = member_of(group, root);
    if (!member) return failure("the root, rank " + std::to_string(root.value) + ", is not a member of the group");
    if (rank_ == root) {
      if (auto wrong = wrong_size(to, members(group) * from.count)) return *wrong;
    }
    return start(group, from.dtype, {from}, false, [&](MPI_Comm comm, MPI_Request* request) {
      return MPI_Igather(rank_ == root ? in_place(from, to, group) : from.data, static_cast<int>(from.count),
                         type_of(from.dtype), to.data, static_cast<int>(from.count), type_of(from.dtype), *member, comm,
                         request);
    });
  }

  Result<Ticket> start_send(TensorView view, Rank to, StreamHandle) override {
    return start({}, view.dtype, {view}, false, [&](MPI_Comm comm, MPI_Request* request) {
      return MPI_Isend(view.data, static_cast<int>(view.count), type_of(view.dtype), to.value, transfer_tag, comm,
                       request);
    });
  }

  Result<Ticket> start_receive(TensorView view, Rank from, StreamHandle) override {
    const Result<Ticket> ticket = start({}, view.dtype, {view}, false, [&](MPI_Comm comm, MPI_Request* request) {
      return MPI_Irecv(view.data, static_cast<int>(view.count), type_of(view.dtype), from.value, transfer_tag, comm,
                       request);
    });
    if (ticket) operations_.find(*ticket)->receives = view;
    return ticket;
  }

  Result<Progress> poll(Ticket ticket) override {
    if (failure_) return *failure_;
    if (!operations_.was_started(ticket)) {
      return failure("operation " + std::to_string(ticket.number) + " was never started, " +
                     std::to_string(operations_.started()) + " were");
    }
    Started* const operation = operations_.find(ticket);
    if (operation == nullptr) return Progress::complete;
    int complete = 0;
    MPI_Status status;
    if (const int error = MPI_Test(&operation->request, &complete, &status); error != MPI_SUCCESS) {
      return failure("MPI says of operation " + std::to_string(ticket.number) + ": " + message_of(error));
    }
    if (complete == 0) return Progress::pending;
    if (operation->receives) {
      int count = 0;
      MPI_Get_count(&status, type_of(operation->receives->dtype), &count);
      if (count != operation->receives->count) {
        return failure("rank " + std::to_string(status.MPI_SOURCE) + " sent " + std::to_string(count) + " elements, " +
                       std::to_string(operation->receives->count) + " were expected");
      }
    }
    operations_.complete(ticket);
    return Progress::complete;
  }

  // Nothing of MPI's: MPI_Abort and MPI_Cancel may wait or end the process. The launcher ends the ranks.
  void abort() noexcept override {
    if (!failure_)
      failure_.emplace(Failure{FaultKind::communication_failure, "the communicator was aborted", where(), ""});
  }

 private:
  struct Started {
    MPI_Request request = MPI_REQUEST_NULL;
    std::optional<TensorView> receives;
  };

  std::string where() const { return "rank " + std::to_string(rank_.value); }

  // Final: every later poll fails with it too.
  Failure failure(std::string what) {
    if (!failure_) failure_ = Failure{FaultKind::communication_failure, std::move(what), where(), ""};
    return *failure_;
  }

  std::optional<Failure> wrong_size(const TensorView& view, std::int64_t count) {
    if (view.count == count) return std::nullopt;
    return failure("a view has " + std::to_string(view.count) + " elements, the operation needs " +
                   std::to_string(count));
  }

  static std::int64_t members(const Group& group) { return static_cast<std::int64_t>(group.members.size()); }

  static std::optional<int> member_of(const Group& group, Rank rank) {
    const auto found = std::find(group.members.begin(), group.members.end(), rank);
    if (found == group.members.end()) return std::nullopt;
    return static_cast<int>(found - group.members.begin());
  }

  // MPI wants to be told when a rank's own part already lies in its place in the result.
  const void* in_place(const TensorView& from, const TensorView& to, const Group& group) const {
    const auto* own = static_cast<const std::byte*>(to.data) + *member_of(group, rank_) * from.bytes();
    return from.data == own ? MPI_IN_PLACE : from.data;
  }

  template <class Call>
  Result<Ticket> start(const Group& group, DType dtype, std::initializer_list<TensorView> views, bool reduces,
                       const Call& call) {
    if (failure_) return *failure_;
    for (const TensorView& view : views) {
      if (view.place != Place::host) return failure("MPI works on host memory, the view lies on the device");
      if (view.count < 0 || view.count > INT_MAX) {
        return failure("a view has " + std::to_string(view.count) + " elements, MPI takes at most " +
                       std::to_string(INT_MAX));
      }
    }
    if (reduces && (dtype == DType::bf16 || dtype == DType::f16))
      return failure(std::string("MPI does not reduce ") + name_of(dtype));
    const Result<MPI_Comm> comm = comm_of(group);
    if (!comm) return comm.error();
    Started operation;
    if (const int error = call(*comm, &operation.request); error != MPI_SUCCESS)
      return failure("MPI says: " + message_of(error));
    return operations_.add(operation);
  }

  // No members: a transfer within the world. A group's first use is collective among its members, and waits for them.
  Result<MPI_Comm> comm_of(const Group& group) {
    if (group.members.empty() || members(group) == world_.value) return world_comm_;
    if (!member_of(group, rank_)) return failure("the rank is not a member of the group it started an operation on");
    std::vector<int> ranks;
    for (const Rank member : group.members) ranks.push_back(member.value);
    if (const auto known = groups_.find(ranks); known != groups_.end()) return known->second;
    MPI_Group all = MPI_GROUP_NULL, some = MPI_GROUP_NULL;
    MPI_Comm comm = MPI_COMM_NULL;
    int error = MPI_Comm_group(world_comm_, &all);
    if (error == MPI_SUCCESS) error = MPI_Group_incl(all, static_cast<int>(ranks.size()), ranks.data(), &some);
    if (error == MPI_SUCCESS) error = MPI_Comm_create_group(world_comm_, some, transfer_tag + 1, &comm);
    if (some != MPI_GROUP_NULL) MPI_Group_free(&some);
    if (all != MPI_GROUP_NULL) MPI_Group_free(&all);
    if (error != MPI_SUCCESS)
      return failure("MPI cannot make a group of " + std::to_string(ranks.size()) + " ranks: " + message_of(error));
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    return groups_[ranks] = comm;
  }

  MPI_Comm world_comm_;
  Rank rank_;
  WorldSize world_;
  BackendTraits traits_;
  OpenOperations<Started> operations_;
  std::map<std::vector<int>, MPI_Comm> groups_;
  std::optional<Failure> failure_;
};

Failure cannot_join(std::string what, Rank rank) {
  return {FaultKind::launch_failed, std::move(what), "rank " + std::to_string(rank.value), ""};
}

MakeCommunicatorResult make(const BackendOptions& options) {
  int initialized = 0;
  MPI_Initialized(&initialized);
  if (initialized != 0) return cannot_join("MPI was initialised before: a process joins one world only", options.rank);
  int provided = 0;
  if (const int error = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided); error != MPI_SUCCESS) {
    return cannot_join("MPI cannot be initialised: " + message_of(error), options.rank);
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  int rank = -1, size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (rank != options.rank.value || size != options.world.value) {
    return cannot_join("MPI says rank " + std::to_string(rank) + " of " + std::to_string(size) +
                           ", the launcher said rank " + std::to_string(options.rank.value) + " of " +
                           std::to_string(options.world.value),
                       options.rank);
  }
  MPI_Comm comm = MPI_COMM_NULL;
  if (const int error = MPI_Comm_dup(MPI_COMM_WORLD, &comm); error != MPI_SUCCESS) {
    return cannot_join("MPI cannot make a communicator: " + message_of(error), options.rank);
  }
  MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
  return std::unique_ptr<Communicator>(std::make_unique<MpiCommunicator>(comm, options.rank, options.world));
}

}  // namespace

}  // namespace ftl

const ftl::MakeCommunicator ftl_make_communicator = ftl::make;
