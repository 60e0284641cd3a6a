#include "async_units.h"

#include <algorithm>

#include "multiprocessor.h"

namespace emulation {
namespace {

constexpr unsigned kInitialized = 0x155;
constexpr uint64_t kMostTurns = 5'000'000;
constexpr int kFirstWord = 2 + 2 * kMaxThreads / kWarp;  // of the race detector's, behind those of barriers

struct Mbarrier {
    uint64_t phase : 1, mark : 9, count : 12, pending : 12;
    int64_t bytes : 30;  // expected and not yet here; negative when they came first
};
static_assert(sizeof(Mbarrier) == sizeof(uint64_t), "an mbarrier has 8 bytes");

Mbarrier& mbarrier_at(uint64_t* address) {
    if (!in_shared(address, sizeof *address)) fail("mbarrier: %p is outside the block's shared memory", address);
    auto& barrier = *reinterpret_cast<Mbarrier*>(address);
    if (barrier.mark != kInitialized) fail("mbarrier: used before mbarrier.init");
    return barrier;
}

void complete_phase(Mbarrier& barrier) {
    if (barrier.pending || barrier.bytes) return;
    barrier.phase ^= 1;
    barrier.pending = barrier.count;
}

void land(Load load) {
    race::acquire(load.work.get());
    race::write(load.shared, load.bytes);
    {
        const race::Unwatched unwatched;
        load.work->run();
    }
    race::release(load.barrier);
    Mbarrier& barrier = mbarrier_at(load.barrier);
    barrier.bytes -= static_cast<int64_t>(load.bytes);
    complete_phase(barrier);
}

bool at_once() {
    const Timing timing = config().copies;
    return timing == Timing::at_once || (timing == Timing::random && multiprocessor->random() % 2);
}

Products& own_products() {
    return multiprocessor->products[multiprocessor->current->index / kWarpgroup];
}

void compute(AsyncWork& work) {
    work.note_reads();
    const race::Unwatched unwatched;
    work.run();
}

}  // namespace

void mbarrier_init(uint64_t* address, int count) {
    if (!in_shared(address, sizeof *address)) fail("mbarrier: %p is outside the block's shared memory", address);
    auto& barrier = *reinterpret_cast<Mbarrier*>(address);
    barrier = Mbarrier{};
    barrier.mark = kInitialized;
    barrier.count = barrier.pending = static_cast<unsigned>(count);
}

void mbarrier_arrive(uint64_t* address, int expected_bytes) {
    Mbarrier& barrier = mbarrier_at(address);
    race::release(address);
    barrier.bytes += expected_bytes;
    if (!barrier.pending) fail("mbarrier: more arrivals than its count of %d", static_cast<int>(barrier.count));
    --barrier.pending;
    complete_phase(barrier);
}

// Loads come as late as they may: when somebody waits for their barrier.
void mbarrier_wait(uint64_t* address, int parity, Caller caller) {
    Multiprocessor& self = *multiprocessor;
    while (static_cast<int>(mbarrier_at(address).phase) == (parity & 1)) {
        const auto load = std::find_if(self.loads.begin(), self.loads.end(),
                                       [=](const Load& each) { return each.barrier == address; });
        if (load != self.loads.end()) {
            Load next = std::move(*load);
            {
                const race::Unwatched unwatched;
                self.loads.erase(load);
            }
            land(std::move(next));
            continue;
        }
        self.current->waits_in = {"mbarrier.try_wait", caller};
        if (!self.ready.size()) {
            self.current->state = Thread::waiting;
            self.report_deadlock();
        }
        if (++self.turns > kMostTurns)
            fail("deadlock: %llu turns of threads that wait, here in mbarrier.try_wait (%s:%d)",
                 static_cast<unsigned long long>(kMostTurns), caller.file, caller.line);
        self.pass();
    }
    race::acquire(address);
}

void issue_load(std::unique_ptr<AsyncWork> work, void* shared, size_t bytes, uint64_t* barrier) {
    mbarrier_at(barrier);
    if (!in_shared(shared, bytes)) fail("TMA writes %zu bytes outside the block's shared memory", bytes);
    race::release(work.get());
    Load load{std::move(work), static_cast<char*>(shared), bytes, barrier};
    if (at_once()) return land(std::move(load));
    const race::Unwatched unwatched;
    multiprocessor->loads.push_back(std::move(load));
}

void issue_product(std::unique_ptr<AsyncWork> work) {
    if (config().copies == Timing::at_once) return compute(*work);
    const race::Unwatched unwatched;
    Products& own = own_products();
    own.queue.push_back({std::move(work), own.group});
}

void commit_products(Caller caller) {
    const Finish finish = [](void**, int) { ++own_products().group; };
    rendezvous(Scope::warpgroup, ~0u, nullptr, finish, "wgmma.commit_group", caller);
}

// The first thread that goes on computes; what is done is done for the whole warpgroup.
void wait_products(int groups_left, Caller caller) {
    const Finish finish = [](void**, int) {};
    rendezvous(Scope::warpgroup, ~0u, nullptr, finish, "wgmma.wait_group", caller);
    Products& own = own_products();
    const int done = own.group - groups_left;
    size_t ready = 0;
    while (ready < own.queue.size() && own.queue[ready].group < done) compute(*own.queue[ready++].work);
    {
        const race::Unwatched unwatched;
        own.queue.erase(own.queue.begin(), own.queue.begin() + static_cast<ptrdiff_t>(ready));
    }
    const int warpgroup = multiprocessor->current->index / kWarpgroup;
    const char* word = multiprocessor->shared.sync_word(kFirstWord + warpgroup);
    race::release(word);
    race::acquire(word);
}

void warpgroup_barrier(Caller caller) {
    const int warpgroup = multiprocessor->current->index / kWarpgroup;
    const char* word = multiprocessor->shared.sync_word(kFirstWord + kMaxThreads / kWarpgroup + warpgroup);
    race::release(word);
    rendezvous(
        Scope::warpgroup, ~0u, nullptr, [](void**, int) {}, "bar.sync of a warpgroup", caller);
    race::acquire(word);
}

}  // namespace emulation
