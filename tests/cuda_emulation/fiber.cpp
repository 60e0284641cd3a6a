#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "sanitizers.h"

// Saves the registers that a called function must keep, stores the stack pointer in *from and goes on at `to`.
extern "C" void convkit_emulation_switch(void** from, void* to) __attribute__((visibility("hidden")));

#if defined(__x86_64__)
asm(R"(
.text
.globl convkit_emulation_switch
.hidden convkit_emulation_switch
.type convkit_emulation_switch,@function
convkit_emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size convkit_emulation_switch,.-convkit_emulation_switch
)");
#elif defined(__aarch64__)
asm(R"(
.text
.globl convkit_emulation_switch
.hidden convkit_emulation_switch
.type convkit_emulation_switch,%function
convkit_emulation_switch:
  stp x29, x30, [sp, #-160]!
  stp x19, x20, [sp, #16]
  stp x21, x22, [sp, #32]
  stp x23, x24, [sp, #48]
  stp x25, x26, [sp, #64]
  stp x27, x28, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #16]
  ldp x21, x22, [sp, #32]
  ldp x23, x24, [sp, #48]
  ldp x25, x26, [sp, #64]
  ldp x27, x28, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  ldp x29, x30, [sp], #160
  ret
.size convkit_emulation_switch,.-convkit_emulation_switch
)");
#else
#    error "the CUDA emulation knows how to switch stacks on x86-64 and aarch64 only"
#endif

namespace emulation {
namespace {

// Who switched to the fiber that arrives; the address sanitizer tells the bounds of that one's stack only then.
thread_local Fiber* left = nullptr;

void land(void* fake_stack) {
#if EMULATION_ASAN
    const void* bottom = nullptr;
    size_t bytes = 0;
    __sanitizer_finish_switch_fiber(fake_stack, &bottom, &bytes);
    left->stack = static_cast<char*>(const_cast<void*>(bottom));
    left->bytes = bytes;
#else
    static_cast<void>(fake_stack);
#endif
}

}  // namespace

Fiber* new_fiber(size_t bytes) {
    void* memory =
        mmap(nullptr, bytes + kStackGuard, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, kStackGuard, PROT_NONE) != 0) {
        std::perror("CUDA emulation: no memory for a stack");
        std::abort();
    }
    auto* fiber = new Fiber;
    fiber->stack = static_cast<char*>(memory) + kStackGuard;
    fiber->bytes = bytes;
    return fiber;
}

void restart(Fiber& fiber, void (*entry)()) {
    address::allow(fiber.stack, fiber.bytes);  // what an abandoned call left behind
    auto** top = reinterpret_cast<void**>(fiber.stack + fiber.bytes - 64);
#if defined(__x86_64__)
    *--top = nullptr;  // entry finds the stack aligned as after a call
    *--top = reinterpret_cast<void*>(entry);
    for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
#else
    top -= 20;
    for (int saved = 0; saved < 20; ++saved) top[saved] = nullptr;
    top[1] = reinterpret_cast<void*>(entry);
#endif
    fiber.stack_pointer = top;
    fiber.fake_stack = nullptr;
    race::destroy(fiber.race_identity);
    fiber.race_identity = race::create();
}

void switch_fiber(Fiber& from, Fiber& to) {
#if EMULATION_ASAN
    __sanitizer_start_switch_fiber(&from.fake_stack, to.stack, to.bytes);
#endif
    left = &from;
    race::become(to.race_identity);
    convkit_emulation_switch(&from.stack_pointer, to.stack_pointer);
    land(from.fake_stack);
}

void arrived() {
    land(nullptr);
}

void adopt_os_thread(Fiber& fiber) {
    fiber = Fiber{};
    fiber.race_identity = race::current();
}

}  // namespace emulation
