#include "core/allocator.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <vector>

namespace ck {
namespace {

constexpr int64_t kAlignment = 64;                   // a cache line, and the widest vector
constexpr int64_t kDefaultLimit = int64_t{1} << 30;  // 1 GiB: the activations of a ResNet step at batch 8

// Size classes eight to the octave: at most 12.5% is wasted, and nearby shapes share blocks, so that a program that
// sees many shapes holds few classes.
int64_t size_class(int64_t bytes) {
    if (bytes <= 512) return 512;
    int64_t step = 64;
    while (step * 16 < bytes) step *= 2;
    return (bytes + step - 1) / step * step;
}

struct Cache {
    std::mutex mutex;
    std::map<int64_t, std::vector<void*>> free_blocks;  // by size class
    int64_t bytes = 0;
    int64_t limit = kDefaultLimit;
};

// Never destroyed: tensors owned by Python may be freed after static destructors have run.
Cache& cache() {
    static Cache* instance = new Cache;
    return *instance;
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCaching = false;  // a cached block would hide use-after-free
#else
constexpr bool kCaching = true;
#endif

void trim(Cache& c) {  // largest first: fewest calls to reach the limit
    while (c.bytes > c.limit && !c.free_blocks.empty()) {
        auto largest = std::prev(c.free_blocks.end());
        std::free(largest->second.back());
        largest->second.pop_back();
        c.bytes -= largest->first;
        if (largest->second.empty()) c.free_blocks.erase(largest);
    }
}

}  // namespace

void* allocate(int64_t bytes) {
    const int64_t size = kCaching ? size_class(bytes) : (bytes + kAlignment) / kAlignment * kAlignment;
    if (kCaching) {
        Cache& c = cache();
        std::lock_guard<std::mutex> lock(c.mutex);
        auto found = c.free_blocks.find(size);
        if (found != c.free_blocks.end()) {
            void* block = found->second.back();
            found->second.pop_back();
            if (found->second.empty()) c.free_blocks.erase(found);
            c.bytes -= size;
            return block;
        }
    }
    void* block = std::aligned_alloc(kAlignment, static_cast<size_t>(size));
    if (!block) throw std::bad_alloc();
    return block;
}

void release(void* block, int64_t bytes) {
    if (!kCaching) return std::free(block);
    Cache& c = cache();
    std::lock_guard<std::mutex> lock(c.mutex);
    const int64_t size = size_class(bytes);
    c.free_blocks[size].push_back(block);
    c.bytes += size;
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

}  // namespace ck
