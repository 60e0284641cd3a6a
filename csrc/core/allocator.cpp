#include "core/allocator.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#include "core/parallel.h"

#if defined(__linux__)
#    include <sys/mman.h>
#endif

namespace ck {
namespace {

constexpr int64_t kAlignment = 64;                // a cache line, and the widest vector
constexpr int64_t kFloor = int64_t{64} << 20;     // always worth keeping: one layer's scratch
constexpr int64_t kLargePage = int64_t{2} << 20;  // on x86-64, and on aarch64 with pages of 4 KiB
constexpr int64_t kMost = int64_t{1} << 56;       // more than any address space; below it no size class overflows

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCaching = false;  // a cached block would hide use-after-free, a rounded one an overflow
#else
constexpr bool kCaching = true;
#endif

// Size classes eight to the octave: at most 12.5% is wasted, and nearby shapes share blocks.
int64_t size_class(int64_t bytes) {
    if (!kCaching) return std::max<int64_t>(bytes, 1);
    if (bytes <= 512) return 512;
    if (bytes > kMost) throw std::bad_alloc();
    int64_t step = 64;
    while (step * 16 < bytes) step *= 2;
    return (bytes + step - 1) / step * step;
}

struct Cache {
    std::mutex mutex;
    std::map<int64_t, std::vector<void*>> free_blocks;  // by size class
    int64_t bytes = 0;                                  // in free blocks
    int64_t live = 0, peak_live = 0;                    // handed out
    int64_t retained = 0;                               // of those, held for a later op
    int64_t limit = std::numeric_limits<int64_t>::max();
};

// Never destroyed: tensors owned by Python may be freed after static destructors have run. Held still over a fork: a
// child of one thread would wait for ever for a lock that another one held.
Cache& cache() {
    static Cache* const instance = [] {
        auto* c = new Cache;
        at_fork([] { cache().mutex.lock(); }, [] { cache().mutex.unlock(); });
        return c;
    }();
    return *instance;
}

// Blocks of at least two large pages lie in such: one entry of the TLB instead of 512. Passes over tensors larger than
// the caches read 1.3 to 1.6 times as fast, most of all in virtual machines, whose page walks are two-dimensional.
bool in_large_pages(int64_t size) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    return kCaching && size >= 2 * kLargePage;
#else
    return false;
#endif
}

// Large blocks come from the system and go back to it: malloc keeps what is freed below 32 MiB in its heap, where the
// next tensor of another size does not fit between those still in use (a ResNet-50 step held half as much again).
#if defined(__linux__) && defined(MADV_HUGEPAGE)
void* map_block(size_t size) {
    const size_t room = size + kLargePage;
    void* const mapped = mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    char* const start = static_cast<char*>(mapped);
    const size_t before = (kLargePage - reinterpret_cast<uintptr_t>(start) % kLargePage) % kLargePage;
    if (before) munmap(start, before);
    munmap(start + before + size, room - before - size);
    // A wish: a kernel that does not grant it leaves small pages. The end that fills no large page keeps small ones.
    madvise(start + before, size / kLargePage * kLargePage, MADV_HUGEPAGE);
    return start + before;
}
void unmap_block(void* block, size_t size) {
    munmap(block, size);
}
#else
void* map_block(size_t) {
    return nullptr;
}
void unmap_block(void*, size_t) {}
#endif

// Null: no memory.
void* new_block(int64_t size) {
    if (in_large_pages(size)) return map_block(static_cast<size_t>(size));
    void* block = nullptr;
    return posix_memalign(&block, kAlignment, static_cast<size_t>(size)) == 0 ? block : nullptr;
}

void free_block(void* block, int64_t size) {
    if (in_large_pages(size)) return unmap_block(block, static_cast<size_t>(size));
    std::free(block);
}

// Live and free blocks together never hold more than half as much again as was ever live at once: a training step finds
// its memory again, each size class at its own peak (ResNet-50 takes 1.3 of that), and a program that sees many shapes,
// or computes again instead of keeping, does not pile them up. The largest goes first: fewest calls to get there.
void trim(Cache& c) {
    const int64_t allowed = std::min(c.limit - c.retained, std::max(kFloor, c.peak_live / 2 * 3 - c.live));
    while (c.bytes > std::max<int64_t>(allowed, 0)) {
        auto largest = std::prev(c.free_blocks.end());
        free_block(largest->second.back(), largest->first);
        largest->second.pop_back();
        c.bytes -= largest->first;
        if (largest->second.empty()) c.free_blocks.erase(largest);
    }
}

// Counted beside the cache's own figures, which mix scratch with tensors.
std::atomic<int64_t> scratch_bytes{0}, scratch_most{0};

void* take_cached(int64_t size) {
    Cache& c = cache();
    std::lock_guard<std::mutex> lock(c.mutex);
    c.live += size;
    c.peak_live = std::max(c.peak_live, c.live);
    const auto found = c.free_blocks.find(size);
    if (found == c.free_blocks.end()) {
        trim(c);  // makes room for the new block
        return nullptr;
    }
    void* block = found->second.back();
    found->second.pop_back();
    if (found->second.empty()) c.free_blocks.erase(found);
    c.bytes -= size;
    return block;
}

}  // namespace

void* allocate(int64_t bytes) {
    if (bytes < 0) throw std::bad_alloc();  // a size that overflowed
    const int64_t size = size_class(bytes);
    void* block = kCaching ? take_cached(size) : nullptr;
    if (!block) block = new_block(size);
    if (block) return block;
    if (kCaching) {
        std::lock_guard<std::mutex> lock(cache().mutex);
        cache().live -= size;
    }
    throw std::bad_alloc();
}

void release(void* block, int64_t bytes) {
    if (!kCaching) return std::free(block);
    Cache& c = cache();
    std::lock_guard<std::mutex> lock(c.mutex);
    const int64_t size = size_class(bytes);
    c.free_blocks[size].push_back(block);
    c.bytes += size;
    c.live -= size;
    trim(c);
}

void set_cache_limit(int64_t bytes) {
    Cache& c = cache();
    std::lock_guard<std::mutex> lock(c.mutex);
    c.limit = bytes;
    trim(c);
}

int64_t cached_bytes() {
    Cache& c = cache();
    std::lock_guard<std::mutex> lock(c.mutex);
    return c.bytes;
}

bool retain(int64_t bytes) {
    Cache& c = cache();
    std::lock_guard<std::mutex> lock(c.mutex);
    if (bytes > c.limit - c.retained) return false;
    c.retained += bytes;
    trim(c);
    return true;
}

void release_retained(int64_t bytes) {
    Cache& c = cache();
    std::lock_guard<std::mutex> lock(c.mutex);
    c.retained -= bytes;
}

int64_t retained_bytes() {
    Cache& c = cache();
    std::lock_guard<std::mutex> lock(c.mutex);
    return c.retained;
}

void* allocate_scratch(int64_t bytes) {
    void* block = allocate(bytes);
    const int64_t held = scratch_bytes += bytes;
    int64_t most = scratch_most;
    while (held > most && !scratch_most.compare_exchange_weak(most, held)) {
    }
    return block;
}

void release_scratch(void* block, int64_t bytes) {
    scratch_bytes -= bytes;
    release(block, bytes);
}

int64_t scratch_peak() {
    return scratch_most;
}

void reset_scratch_peak() {
    scratch_most = scratch_bytes.load();
}

}  // namespace ck
