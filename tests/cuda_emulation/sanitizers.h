// The hooks of the sanitizers, empty in a plain build. The race detector's build compiles kernels and tests with
// -fsanitize=thread and the emulation without it, with EMULATION_TSAN: its own bookkeeping is no business of the
// detector.
#pragma once
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#    include <sanitizer/asan_interface.h>
#    include <sanitizer/common_interface_defs.h>
#    define EMULATION_ASAN 1
#else
#    define EMULATION_ASAN 0
#endif

#if defined(EMULATION_TSAN)
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void __tsan_read_range(void* address, unsigned long bytes);
void __tsan_write_range(void* address, unsigned long bytes);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace emulation {

#if defined(EMULATION_TSAN)
constexpr bool kRaceDetector = true;
namespace race {
// Every emulated thread is a thread of the detector's own; only barriers and the like order them.
inline void* current() {
    return __tsan_get_current_fiber();
}
inline void* create() {
    return __tsan_create_fiber(0);
}
inline void destroy(void* identity) {
    if (identity) __tsan_destroy_fiber(identity);
}
inline void become(void* identity) {
    __tsan_switch_to_fiber(identity, 1);  // 1: the switch itself orders nothing
}
inline void acquire(const void* address) {
    __tsan_acquire(const_cast<void*>(address));
}
inline void release(const void* address) {
    __tsan_release(const_cast<void*>(address));
}
inline void read(const void* address, size_t bytes) {
    if (bytes) __tsan_read_range(const_cast<void*>(address), bytes);
}
inline void write(void* address, size_t bytes) {
    if (bytes) __tsan_write_range(address, bytes);
}
// The emulator's own traffic, including that of library functions the detector intercepts.
class Unwatched {
  public:
    Unwatched() {
        AnnotateIgnoreReadsBegin("", 0);
        AnnotateIgnoreWritesBegin("", 0);
        ++depth();
    }
    ~Unwatched() { end(); }
    // For a thread that is abandoned within such scopes.
    static void end_all() {
        while (depth()) end();
    }

  private:
    static int& depth() {
        static __thread int depth;
        return depth;
    }
    static void end() {
        --depth();
        AnnotateIgnoreWritesEnd("", 0);
        AnnotateIgnoreReadsEnd("", 0);
    }
};
}  // namespace race
#else
constexpr bool kRaceDetector = false;
namespace race {
inline void* current() {
    return nullptr;
}
inline void* create() {
    return nullptr;
}
inline void destroy(void*) {}
inline void become(void*) {}
inline void acquire(const void*) {}
inline void release(const void*) {}
inline void read(const void*, size_t) {}
inline void write(void*, size_t) {}
struct Unwatched {
    Unwatched() {}
    static void end_all() {}
};
}  // namespace race
#endif

namespace address {
#if EMULATION_ASAN
inline void forbid(const void* begin, size_t bytes) {
    __asan_poison_memory_region(begin, bytes);
}
inline void allow(const void* begin, size_t bytes) {
    __asan_unpoison_memory_region(begin, bytes);
}
inline bool forbidden(const void* begin, size_t bytes) {
    return __asan_region_is_poisoned(const_cast<void*>(begin), bytes) != nullptr;
}
#else
inline void forbid(const void*, size_t) {}
inline void allow(const void*, size_t) {}
inline bool forbidden(const void*, size_t) {
    return false;
}
#endif
}  // namespace address

}  // namespace emulation
