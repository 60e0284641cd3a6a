#include "faults.h"

#include <signal.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "device_memory.h"
#include "multiprocessor.h"
#include "sanitizers.h"

namespace emulation {
namespace {

constexpr size_t kHandlerStackBytes = 64 * 1024;
struct sigaction previous_action;

// In a kernel the handler never returns: it leaves the fiber, as any other failure does.
void on_fault(int number, siginfo_t* info, void*) {
    const std::string where = describe_device_address(info->si_addr);
    if (multiprocessor && multiprocessor->current) {
        const Fiber& fiber = *multiprocessor->current->fiber;
        const char* address = static_cast<const char*>(info->si_addr);
        if (address < fiber.stack && address >= fiber.stack - kStackGuard)
            fail("the stack of %zu bytes overflowed; CONVKIT_EMULATION_STACK makes it larger", fiber.bytes);
        fail("an illegal memory access was encountered: address %p, %s", info->si_addr,
             where.empty() ? "which is no device memory" : where.c_str());
    }
    if (!where.empty()) std::fprintf(stderr, "CUDA emulation: host code touches %s\n", where.c_str());
    sigaction(number, &previous_action, nullptr);  // and the access faults again
}

}  // namespace

void catch_faults() {
    if (EMULATION_ASAN || kRaceDetector) return;
    static const bool installed = [] {
        struct sigaction action {};
        action.sa_sigaction = on_fault;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;  // NODEFER: the handler is left by switching stacks
        return sigaction(SIGSEGV, &action, &previous_action) == 0;
    }();
    static_cast<void>(installed);
}

FaultStack::FaultStack() {
    if (EMULATION_ASAN || kRaceDetector) return;
    stack_t old{};
    sigaltstack(nullptr, &old);
    if (!(old.ss_flags & SS_DISABLE)) return;  // there is one
    memory_ = static_cast<char*>(std::malloc(kHandlerStackBytes));
    stack_t own{};
    own.ss_sp = memory_;
    own.ss_size = kHandlerStackBytes;
    sigaltstack(&own, nullptr);
}

FaultStack::~FaultStack() {
    if (!memory_) return;
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
    std::free(memory_);
}

}  // namespace emulation
