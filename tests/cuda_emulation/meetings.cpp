// Barriers and the rendezvous that all other collectives are made of.
#include <cstring>

#include "multiprocessor.h"

namespace emulation {
namespace {

constexpr uint64_t kMostTurns = 5'000'000;

uint32_t lanes_alive(const Multiprocessor& self, int warp) {
    uint32_t lanes = 0;
    for (int lane = 0; lane < kWarp; ++lane) {
        const int thread = warp * kWarp + lane;
        if (thread < self.count && self.threads[thread].state != Thread::ended) lanes |= 1u << lane;
    }
    return lanes;
}

void check_mask(const Multiprocessor& self, uint32_t mask, const Site& site) {
    const int thread = self.current->index;
    if (!(mask >> (thread % kWarp) & 1))
        fail("%s: the calling lane is not in its mask %08x (%s:%d)", site.what, mask, site.caller.file,
             site.caller.line);
    if (mask & ~lanes_alive(self, thread / kWarp))
        fail("%s: mask %08x names lanes that have ended or do not exist (%s:%d)", site.what, mask, site.caller.file,
             site.caller.line);
}

// The meeting of the running thread's warp for `mask`, or a free one.
Meeting& warp_meeting(Multiprocessor& self, uint32_t mask, const Site& site) {
    Meeting* all = &self.warp_meetings[self.current->index / kWarp * Multiprocessor::kMeetings];
    Meeting* unused = nullptr;
    for (int i = 0; i < Multiprocessor::kMeetings; ++i) {
        Meeting& meeting = all[i];
        if (!meeting.open) {
            if (!unused) unused = &meeting;
            continue;
        }
        if (meeting.mask == mask) return meeting;
        if (meeting.mask & mask)
            fail("%s with mask %08x (%s:%d) while lanes wait in %s with mask %08x (%s:%d)", site.what, mask,
                 site.caller.file, site.caller.line, meeting.site.what, meeting.mask, meeting.site.caller.file,
                 meeting.site.caller.line);
    }
    if (!unused) fail("%s: more than %d groups of one warp meet at a time", site.what, Multiprocessor::kMeetings);
    return *unused;
}

void join(Meeting& meeting, uint32_t mask, Finish finish, const Site& site) {
    if (!meeting.open) {
        meeting.open = true;
        meeting.mask = mask;
        meeting.finish = finish;
        meeting.site = site;
        meeting.arrived = 0;
        meeting.lanes = 0;
        for (void*& operands : meeting.operands) operands = nullptr;
    } else if (meeting.finish != finish) {
        fail("threads that should meet have diverged: %s (%s:%d) and %s (%s:%d)", site.what, site.caller.file,
             site.caller.line, meeting.site.what, meeting.site.caller.file, meeting.site.caller.line);
    }
}

}  // namespace

void rendezvous(Scope scope, uint32_t mask, void* operands, Finish finish, const char* what, Caller caller) {
    Multiprocessor& self = *multiprocessor;
    const Site site{what, caller};
    const int thread = self.current->index;
    if (scope == Scope::warp) check_mask(self, mask, site);
    if (scope == Scope::warpgroup && self.count % kWarpgroup)
        fail("%s: the block has %d threads, no whole warpgroups (%s:%d)", what, self.count, caller.file, caller.line);
    Meeting& meeting = scope == Scope::warp        ? warp_meeting(self, mask, site)
                       : scope == Scope::warpgroup ? self.warpgroup_meetings[thread / kWarpgroup]
                                                   : self.block_meeting;
    join(meeting, mask, finish, site);
    const int slots = scope == Scope::warp ? kWarp : scope == Scope::warpgroup ? kWarpgroup : self.count;
    meeting.operands[thread % (scope == Scope::block ? kMaxThreads : slots)] = operands;
    meeting.threads[meeting.arrived++] = thread;
    meeting.lanes |= 1u << (thread % kWarp);
    const bool complete = scope == Scope::warp ? meeting.lanes == mask : meeting.arrived == slots;
    if (!complete) return self.wait(site);
    if (finish) {
        const race::Unwatched unwatched;
        finish(meeting.operands.data(), slots);
    }
    self.push_all(meeting.threads.data(), meeting.arrived, thread);
    meeting.open = false;
    ++self.stats.collectives;
}

// Words of the arena's tail: two for the block's barrier, two for each warp's; two, as the first thread through a
// barrier may reach the next before the last has left it.
void warp_barrier(uint32_t mask, Caller caller) {
    Multiprocessor& self = *multiprocessor;
    const int warp = self.current->index / kWarp;
    const char* word = self.shared.sync_word(2 + 2 * warp + static_cast<int>(self.warp_barriers[warp] & 1));
    race::release(word);
    const Finish finish = [](void**, int) { ++multiprocessor->warp_barriers[multiprocessor->current->index / kWarp]; };
    rendezvous(Scope::warp, mask, nullptr, finish, "__syncwarp", caller);
    race::acquire(word);
}

void barrier(Caller caller) {
    Multiprocessor& self = *multiprocessor;
    Barrier& barrier = self.barrier;
    const char* word = self.shared.sync_word(static_cast<int>(barrier.generation & 1));
    race::release(word);
    if (!barrier.arrived)
        barrier.caller = caller;
    else if (caller.line != barrier.caller.line || std::strcmp(caller.file, barrier.caller.file) != 0)
        fail("threads of one block wait in different __syncthreads: %s:%d and %s:%d", barrier.caller.file,
             barrier.caller.line, caller.file, caller.line);
    if (self.ended)
        fail("__syncthreads (%s:%d) after %d threads of the block have ended", caller.file, caller.line, self.ended);
    const int thread = self.current->index;
    barrier.threads[barrier.arrived++] = thread;
    if (barrier.arrived < self.count) {
        self.wait({"__syncthreads", caller});
    } else {
        self.push_all(barrier.threads, barrier.arrived, thread);
        barrier.arrived = 0;
        ++barrier.generation;
        ++self.stats.barriers;
        if (config().order != Order::forward) self.pass();  // the last to come need not be the first to go on
    }
    race::acquire(word);
}

void fence() {
    static char word;
    race::acquire(&word);
    race::release(&word);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void yield() {
    if (++multiprocessor->turns > kMostTurns)
        fail("%llu turns of waiting threads in one block: what they wait for cannot come",
             static_cast<unsigned long long>(kMostTurns));
    multiprocessor->pass();
}

}  // namespace emulation
