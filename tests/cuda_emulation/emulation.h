// What the emulation offers besides CUDA: its knobs, its counters, and what models of instructions are written with.
//
// A CUDA thread is a fiber; the threads of a block share one OS thread and run until they wait or end. Every collective
// (barrier, shuffle, ldmatrix, mma) is a rendezvous: each thread leaves a pointer to its operands, and the last to
// arrive computes the results of all. Order and asynchrony are adversarial, see Config.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace emulation {

enum class Order { forward, reverse, random };  // in which threads and blocks run
enum class Timing { at_once, late, random };    // late: when somebody waits for it, and not before

struct Config {
    Order order = Order::forward;
    Timing copies = Timing::late;   // cp.async, TMA, wgmma
    Timing streams = Timing::late;  // launches, asynchronous copies and fills
    uint64_t seed = 1;
    int os_threads = 1;      // that share the blocks of a grid; 1 under the race detector
    size_t stack_bytes = 0;  // of a fiber; 0: the default of the build
    int driver = 13000;      // version of CUDA that it supports; 0: there is none
    int capability = 90;     // of the devices; kernels are there for 80 and later
    int devices = 1;
    size_t device_bytes = size_t{4} << 30;  // memory of a device
    size_t shared_bytes = 227 * 1024;       // of a block, at most (sm_90)
    bool poison = true;                     // new memory holds 0xFF: NaN
    bool protect = true;                    // host code cannot touch device memory
};

// The first call reads CONVKIT_EMULATION_ORDER, _COPIES, _STREAMS, ... from the environment. Changes take effect with
// the next launch; `devices` and `device_bytes` with the next cudaDeviceReset.
Config& config();
// set("order", "reverse"); "" or what is wrong.
std::string set(const std::string& name, const std::string& value);

struct Stats {
    uint64_t launches, blocks, threads, switches, barriers, collectives, async_copies;
    uint64_t ldmatrix_phases, ldmatrix_conflicts;  // 8 rows are one phase; a conflict is an extra cycle of it
};
Stats stats();
void reset_stats();

// The call number `after` (0: the next) of the runtime function, or of "launch", returns this status instead.
void inject(const std::string& call, int status, int after = 0);
// What the last failed kernel or refused call was about; "" when there is nothing to tell.
std::string last_message();

// ---- for models of instructions -------------------------------------------------------------------------------------

// Ends the kernel; the text says block, thread, and this.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

struct Caller {  // Caller::here() as a default argument is the place of the call
    const char* file;
    int line;
    static constexpr Caller here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
        return {file, line};
    }
};

enum class Scope { warp, warpgroup, block };
using Finish = void (*)(void** operands, int count);

// Returns when all threads of the scope (of the warp: the lanes in `mask`) have called it. finish runs once, in the
// last of them; operands[i] is what thread i passed, null for lanes outside the mask.
void rendezvous(Scope scope, uint32_t mask, void* operands, Finish finish, const char* what, Caller caller);

// A rendezvous of structs with `static const char* name()` and `static void finish(Operation** all, int count)`.
template <class Operation>
void meet(Scope scope, uint32_t mask, Operation& mine, Caller caller) {
    const Finish finish = [](void** all, int count) { Operation::finish(reinterpret_cast<Operation**>(all), count); };
    rendezvous(scope, mask, &mine, finish, Operation::name(), caller);
}

int lane();  // of the running thread

void barrier(Caller caller);  // __syncthreads
void warp_barrier(uint32_t mask, Caller caller);
void fence();
void yield();  // lets the others run: the body of a loop that waits

void* static_shared(const void* key, size_t bytes, size_t alignment);
void* dynamic_shared();
bool in_shared(const void* address, size_t bytes);
// Fails unless all bytes lie in one allocation of device memory. `what` begins the message.
void check_global(const void* address, size_t bytes, const char* what);

void async_copy(void* shared, const void* global, int bytes, int source_bytes);
void async_copy_commit();
void async_copy_wait(int groups_left);

// What a model reads by itself, for the race detector and the address sanitizer.
void note_read(const void* address, size_t bytes);
void count_ldmatrix(const void* const (&rows)[32]);

}  // namespace emulation
