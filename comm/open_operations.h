// What a backend remembers of operations by ticket: those that are under way. A ticket that was given out and is no
// longer here is complete, so memory grows with what is open and never with the length of a run.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "comm/communicator.h"

namespace ftl {

template <class Operation>
class OpenOperations {
 public:
  Ticket add(Operation operation) {
    open_.emplace(++started_, std::move(operation));
    return Ticket{started_};
  }
  bool was_started(Ticket ticket) const { return ticket.number > 0 && ticket.number <= started_; }
  // Null: complete (or never started). Stays where it is until it is complete.
  Operation* find(Ticket ticket) {
    const auto found = open_.find(ticket.number);
    return found == open_.end() ? nullptr : &found->second;
  }
  void complete(Ticket ticket) { open_.erase(ticket.number); }

  std::uint64_t started() const { return started_; }
  bool empty() const { return open_.empty(); }
  auto begin() { return open_.begin(); }  // pairs of ticket number and operation
  auto end() { return open_.end(); }

 private:
  std::uint64_t started_ = 0;
  std::map<std::uint64_t, Operation> open_;
};

}  // namespace ftl
