// Runs blocks, one after the other, on one thread of the operating system.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "async_units.h"
#include "emulation.h"
#include "fiber.h"
#include "language.h"
#include "sanitizers.h"

namespace emulation {

constexpr int kWarp = 32, kWarpgroup = 128, kMaxThreads = 1024;
constexpr size_t kStaticSharedBytes = 48 * 1024;

struct Site {
    const char* what;
    Caller caller;
};

struct PendingCopy {
    char* to;
    const char* from;
    int bytes, source_bytes;  // bytes: 0 when it has happened
    int group;
};

struct Thread {
    enum State : uint8_t { fresh, ready, waiting, ended };
    State state;
    int index;
    Fiber* fiber;  // null until it runs
    Site waits_in;
    int copy_group;
    std::vector<PendingCopy> copies;
};

// Threads that meet. A warp may have several at a time, for disjoint masks.
struct Meeting {
    bool open = false;
    uint32_t mask = 0;
    Finish finish = nullptr;
    Site site{};
    int arrived = 0;
    uint32_t lanes = 0;  // that have arrived
    std::vector<void*> operands;
    std::vector<int> threads;
    void resize(int count) {
        operands.resize(count);
        threads.resize(count);
    }
};

struct Barrier {
    int arrived = 0;
    unsigned generation = 0;
    Caller caller{};
    int threads[kMaxThreads];
};

// Runnable threads in the order in which they will run.
class ReadyQueue {
  public:
    void clear() { first_ = count_ = 0; }
    int size() const { return count_; }
    void push(int thread) { ring_[(first_ + count_++) % kMaxThreads] = thread; }
    int pop() {
        const int thread = ring_[first_];
        first_ = (first_ + 1) % kMaxThreads;
        --count_;
        return thread;
    }
    void bring_forward(int position) { std::swap(ring_[first_], ring_[(first_ + position) % kMaxThreads]); }

  private:
    int ring_[kMaxThreads], first_ = 0, count_ = 0;
};

// The shared memory of the running block: the dynamic part at the start of an arena, static arrays behind it, all apart
// by zones that nobody may touch.
class SharedMemory {
  public:
    SharedMemory();
    void begin_block(size_t dynamic_bytes);
    // The text of what has been overwritten, or "".
    std::string end_block() const;
    void* declare(const void* key, size_t bytes, size_t alignment);
    void* dynamic() const { return arena_; }
    bool contains(const void* address, size_t bytes) const;
    // Addresses that stand for barriers, for the race detector; new ones in each block.
    char* sync_word(int number) const;

  private:
    struct Array {
        const void* key;
        char* begin;
        size_t bytes;
    };
    char* arena_;
    size_t dynamic_bytes_ = 0, used_ = 0;
    std::vector<Array> arrays_;
    std::vector<std::pair<size_t, size_t>> zones_;
};

struct Load {
    std::unique_ptr<AsyncWork> work;
    char* shared;
    size_t bytes;
    uint64_t* barrier;
};
// wgmma of one warpgroup.
struct Products {
    struct Product {
        std::unique_ptr<AsyncWork> work;
        int group;
    };
    std::vector<Product> queue;
    int group = 0;
};

struct Grid {
    dim3 size, block;
    size_t dynamic_shared;
    const std::function<void()>* body;  // the kernel with its arguments
};

struct Multiprocessor {
    Multiprocessor();

    // Runs block `number` of the grid; false: `failure` says what happened.
    bool run_block(const Grid& grid, unsigned number);
    void begin_grid(const Grid& grid);

    uint64_t random();
    void push_all(const int* threads, int count, int except);
    // The running thread waits until somebody makes it ready.
    void wait(Site site);
    // The running thread goes to the end of the queue.
    void pass();
    [[noreturn]] void stop(const std::string& text);
    [[noreturn]] void report_deadlock();

    int count = 0, ended = 0;  // threads of the block
    Thread* current = nullptr;
    std::vector<Thread> threads;
    ReadyQueue ready;
    std::vector<Meeting> warp_meetings, warpgroup_meetings;  // kMeetings a warp, 1 a warpgroup
    Meeting block_meeting;
    Barrier barrier;
    unsigned warp_barriers[kMaxThreads / kWarp];
    SharedMemory shared;
    std::vector<Load> loads;         // TMA, in the order of issue
    std::vector<Products> products;  // by warpgroup
    const Grid* grid = nullptr;
    uint64_t random_state = 1;
    uint64_t turns = 0;  // of threads that poll
    std::string failure;
    Stats stats{};
    struct {
        const char *begin = nullptr, *end = nullptr;
    } known_global[2];  // allocations found by check_global

    static constexpr int kMeetings = 8;

  private:
    static void run_threads();  // what fibers do
    Thread* next_ready();
    void run_next(Fiber& self);
    void become(Thread& thread);
    Fiber* fiber_for(const Thread& thread);
    Fiber* another_fiber();
    void finish_thread(Thread& thread);
    std::string finish_block();
    void abandon_fibers();
    int fiber_sets() const;

    Fiber host_;
    std::vector<Fiber*> fibers_, idle_;
    unsigned blocks_run_ = 0;
};

// The one that runs the calling OS thread's kernel; null in host code.
extern __thread Multiprocessor* multiprocessor __attribute__((tls_model("initial-exec")));

// Runs all blocks, in the order and on the OS threads of config(); "" or what went wrong.
std::string run_grid(const Grid& grid);

}  // namespace emulation
