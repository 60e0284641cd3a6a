// What models of Hopper's asynchronous units are written with: mbarriers, loads that they count, products of
// warpgroups.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "emulation.h"

namespace emulation {

struct AsyncWork {
    virtual ~AsyncWork() = default;
    virtual void run() = 0;
    virtual void note_reads() const {}  // of shared memory, when it runs
};

// An mbarrier lives in its 8 bytes of shared memory.
void mbarrier_init(uint64_t* barrier, int count);
void mbarrier_arrive(uint64_t* barrier, int expected_bytes);
// Returns when the phase of this parity has completed.
void mbarrier_wait(uint64_t* barrier, int parity, Caller caller);

// Writes `bytes` from `shared` on, at once or later, and counts them at the barrier.
void issue_load(std::unique_ptr<AsyncWork> work, void* shared, size_t bytes, uint64_t* barrier);

// Products of the running thread's warpgroup. All its threads call the others, one of them the first.
void issue_product(std::unique_ptr<AsyncWork> work);
void commit_products(Caller caller);
void wait_products(int groups_left, Caller caller);
void warpgroup_barrier(Caller caller);  // bar.sync of the running thread's warpgroup

}  // namespace emulation
