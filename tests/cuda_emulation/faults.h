// Memory faults: in a kernel they end the kernel with a message, in host code they explain a touch of device memory.
#pragma once

namespace emulation {

// Installs the handler once; leaves faults to the sanitizers in their builds.
void catch_faults();

// While it lives, the OS thread's signal handlers have a stack of their own: a fiber's may have overflowed.
class FaultStack {
  public:
    FaultStack();
    ~FaultStack();
    FaultStack(const FaultStack&) = delete;
    FaultStack& operator=(const FaultStack&) = delete;

  private:
    char* memory_ = nullptr;
};

}  // namespace emulation
