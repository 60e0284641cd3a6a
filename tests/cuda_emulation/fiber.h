// Stacks that a thread of the operating system switches between.
#pragma once
#include <cstddef>

namespace emulation {

struct Fiber {
    char* stack = nullptr;  // lowest address
    size_t bytes = 0;
    void* stack_pointer = nullptr;  // while it does not run
    void* fake_stack = nullptr;     // the address sanitizer's
    void* race_identity = nullptr;  // the race detector's
};

constexpr size_t kStackGuard = 64 * 1024;  // bytes below a stack that fault

// A fiber with a stack of its own. Kept until the process ends.
Fiber* new_fiber(size_t bytes);
// The next switch to the fiber calls entry, whatever it was doing. entry first calls arrived(), and never returns.
void restart(Fiber& fiber, void (*entry)());
void switch_fiber(Fiber& from, Fiber& to);
void arrived();

// Makes `fiber` stand for the running OS thread's own stack.
void adopt_os_thread(Fiber& fiber);

}  // namespace emulation
