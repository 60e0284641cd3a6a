#include "multiprocessor.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace emulation {

__thread Builtins builtins __attribute__((tls_model("initial-exec"))) = {{0, 0, 0}, {0, 0, 0}, {}, {}, 0};
__thread Multiprocessor* multiprocessor __attribute__((tls_model("initial-exec")));

namespace {

size_t stack_bytes() {
    if (config().stack_bytes) return config().stack_bytes;
    return EMULATION_ASAN || kRaceDetector ? 512 * 1024 : 128 * 1024;
}

}  // namespace

Multiprocessor::Multiprocessor() : threads(kMaxThreads) {
    for (int i = 0; i < kMaxThreads; ++i) threads[i].index = i;
    warp_meetings.resize(kMaxThreads / kWarp * kMeetings);
    for (Meeting& meeting : warp_meetings) meeting.resize(kWarp);
    warpgroup_meetings.resize(kMaxThreads / kWarpgroup);
    for (Meeting& meeting : warpgroup_meetings) meeting.resize(kWarpgroup);
    block_meeting.resize(kMaxThreads);
    products.resize(kMaxThreads / kWarpgroup);
}

uint64_t Multiprocessor::random() {  // xorshift
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

void Multiprocessor::begin_grid(const Grid& grid_to_run) {
    grid = &grid_to_run;
    const dim3 block = grid->block;
    count = static_cast<int>(block.x * block.y * block.z);
    random_state = config().seed * 0x9E3779B97F4A7C15ull + 88172645463325252ull;
    failure.clear();
    known_global[0] = known_global[1] = {};
    if (kRaceDetector)
        while (static_cast<int>(fibers_.size()) < count * fiber_sets()) another_fiber();
}

// ---- fibers ---------------------------------------------------------------------------------------------------------

// A thread of the race detector that plays thread 3 of all blocks would order those blocks. So consecutive blocks take
// identities in turn, as many sets as the detector can bear.
int Multiprocessor::fiber_sets() const {
    return std::max(1, std::min(8, kMaxThreads / count));
}

Fiber* Multiprocessor::another_fiber() {
    Fiber* fiber = new_fiber(stack_bytes());
    restart(*fiber, run_threads);
    fibers_.push_back(fiber);
    return fiber;
}

Fiber* Multiprocessor::fiber_for(const Thread& thread) {
    if (kRaceDetector) return fibers_[blocks_run_ % fiber_sets() * count + thread.index];
    if (idle_.empty()) return another_fiber();
    Fiber* fiber = idle_.back();
    idle_.pop_back();
    return fiber;
}

// The fibers of threads that have not ended, and of the one that found that the others never will, are left in the
// middle of their work.
void Multiprocessor::abandon_fibers() {
    for (Thread& thread : threads) thread.copies.clear();
    for (int i = 0; i < count; ++i) {
        Fiber* fiber = threads[i].fiber;
        if (!fiber || (threads[i].state == Thread::ended && &threads[i] != current)) continue;
        if (kRaceDetector) {  // what these threads did happened before all that follows
            race::become(fiber->race_identity);
            race::release(&ended);
            race::become(host_.race_identity);
        }
        restart(*fiber, run_threads);
        if (!kRaceDetector) idle_.push_back(fiber);
    }
}

void Multiprocessor::become(Thread& thread) {
    current = &thread;
    const unsigned i = thread.index;
    const dim3& size = builtins.block_size;
    builtins.lane = static_cast<int>(i % kWarp);
    builtins.thread = {i % size.x, i / size.x % size.y, i / size.x / size.y};
}

// A fiber whose thread has ended goes on as the next fresh thread, without a switch: kernels without barriers cost
// little more than their calls.
void Multiprocessor::run_threads() {
    arrived();
    for (;;) {
        Multiprocessor& self = *multiprocessor;
        Fiber* fiber = self.current->fiber;
        race::acquire(&self.grid);
        (*self.grid->body)();
        self.finish_thread(*self.current);
        race::release(&self.ended);
        if (self.ended == self.count) {
            if (!kRaceDetector) self.idle_.push_back(fiber);
            switch_fiber(*fiber, self.host_);
            continue;
        }
        Thread* next = self.next_ready();
        if (!next) self.report_deadlock();
        if (!kRaceDetector && !next->fiber) {
            next->fiber = fiber;
            self.become(*next);
            continue;
        }
        if (!next->fiber) next->fiber = self.fiber_for(*next);
        if (!kRaceDetector) self.idle_.push_back(fiber);
        self.become(*next);
        ++self.stats.switches;
        switch_fiber(*fiber, *next->fiber);
    }
}

// ---- scheduling -----------------------------------------------------------------------------------------------------

Thread* Multiprocessor::next_ready() {
    if (!ready.size()) return nullptr;
    if (config().order == Order::random) ready.bring_forward(static_cast<int>(random() % ready.size()));
    Thread* thread = &threads[ready.pop()];
    thread->state = Thread::ready;
    return thread;
}

void Multiprocessor::run_next(Fiber& self) {
    Thread* next = next_ready();
    if (!next) report_deadlock();
    if (!next->fiber) next->fiber = fiber_for(*next);
    become(*next);
    if (next->fiber == &self) return;
    ++stats.switches;
    switch_fiber(self, *next->fiber);
}

void Multiprocessor::push_all(const int* indices, int number, int except) {
    for (int i = 0; i < number; ++i) {
        const int index = indices[config().order == Order::reverse ? number - 1 - i : i];
        if (index == except) continue;
        threads[index].state = Thread::ready;
        ready.push(index);
    }
}

void Multiprocessor::wait(Site site) {
    current->state = Thread::waiting;
    current->waits_in = site;
    run_next(*current->fiber);
}

void Multiprocessor::pass() {
    ready.push(current->index);
    run_next(*current->fiber);
}

void Multiprocessor::finish_thread(Thread& thread) {
    if (!thread.copies.empty()) fail("the thread ended with %zu cp.async never waited for", thread.copies.size());
    if (barrier.arrived)
        fail("the thread ended while %d threads wait in __syncthreads (%s:%d)", barrier.arrived, barrier.caller.file,
             barrier.caller.line);
    for (int i = 0; i < kMeetings; ++i) {
        const Meeting& meeting = warp_meetings[thread.index / kWarp * kMeetings + i];
        if (meeting.open && (meeting.mask >> (thread.index % kWarp) & 1))
            fail("the thread ended while lanes of its warp wait for it in %s (%s:%d)", meeting.site.what,
                 meeting.site.caller.file, meeting.site.caller.line);
    }
    thread.state = Thread::ended;
    ++ended;
}

// What the block has left undone, or "".
std::string Multiprocessor::finish_block() {
    bool waiting = !loads.empty();
    loads.clear();
    for (Products& own : products) {
        waiting |= !own.queue.empty();
        own.queue.clear();
        own.group = 0;
    }
    return waiting ? "the block ended with TMA loads or wgmma never waited for" : shared.end_block();
}

bool Multiprocessor::run_block(const Grid& grid_to_run, unsigned number) {
    const dim3 size = grid_to_run.size;
    adopt_os_thread(host_);
    builtins.block = {number % size.x, number / size.x % size.y, number / size.x / size.y};
    builtins.block_size = grid_to_run.block;
    builtins.grid_size = size;
    ended = 0;
    turns = 0;
    ready.clear();
    barrier.arrived = 0;
    barrier.generation = 0;
    for (unsigned& generation : warp_barriers) generation = 0;
    for (Meeting& meeting : warp_meetings) meeting.open = false;
    for (Meeting& meeting : warpgroup_meetings) meeting.open = false;
    block_meeting.open = false;
    shared.begin_block(grid_to_run.dynamic_shared);
    for (int i = 0; i < count; ++i) {
        threads[i].state = Thread::fresh;
        threads[i].fiber = nullptr;
        threads[i].copy_group = 0;
        ready.push(config().order == Order::reverse ? count - 1 - i : i);
    }

    multiprocessor = this;
    Thread* first = next_ready();
    first->fiber = fiber_for(*first);
    become(*first);
    race::release(&grid);
    switch_fiber(host_, *first->fiber);
    multiprocessor = nullptr;
    if (!failure.empty()) abandon_fibers();
    current = nullptr;

    ++blocks_run_;
    ++stats.blocks;
    stats.threads += count;
    const std::string left = finish_block();
    if (failure.empty()) failure = left;
    return failure.empty();
}

// ---- failures -------------------------------------------------------------------------------------------------------

void Multiprocessor::stop(const std::string& text) {
    const uint3 b = builtins.block, t = builtins.thread;
    char place[120];
    std::snprintf(place, sizeof place, "block (%u,%u,%u) thread (%u,%u,%u): ", b.x, b.y, b.z, t.x, t.y, t.z);
    {
        const race::Unwatched unwatched;
        failure = place + text;
    }
    race::Unwatched::end_all();
    switch_fiber(*current->fiber, host_);
    std::abort();  // the fiber is never resumed
}

void Multiprocessor::report_deadlock() {
    std::string places;
    int shown = 0;
    const Site* last = nullptr;
    for (int i = 0; i < count && shown < 4; ++i) {
        if (threads[i].state != Thread::waiting) continue;
        const Site& site = threads[i].waits_in;
        if (last && last->what == site.what && last->caller.line == site.caller.line) continue;
        last = &site;
        ++shown;
        char text[240];
        std::snprintf(text, sizeof text, " thread %d in %s (%s:%d);", i, site.what, site.caller.file, site.caller.line);
        places += text;
    }
    stop("deadlock: " + std::to_string(ended) + " of " + std::to_string(count) +
         " threads have ended, the others wait:" + places);
}

void fail(const char* format, ...) {
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    {
        race::Unwatched unwatched;
        std::vsnprintf(text, sizeof text, format, arguments);
    }
    va_end(arguments);
    if (multiprocessor && multiprocessor->current) multiprocessor->stop(text);
    std::fprintf(stderr, "CUDA emulation, outside of kernels: %s\n", text);
    std::abort();
}

}  // namespace emulation
