// The caching allocator of device memory. cudaMalloc waits for the device and takes up to a millisecond, so memory is
// taken from the driver in segments, cut into blocks and kept. All work of a device runs in the order of one stream
// (cuda/device.h): a freed block may be given out at once, what still reads it was queued before what will write it.
//
// Sizes round up to 512 bytes, which keeps every block aligned for 16-byte loads and a cache line. Up to 1 MiB a block
// comes from a segment of 2 MiB, so that small tensors share; a larger one has a segment of its own size, cut when a
// smaller block takes it. Best fit; neighbours that are free join again.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>

#include "cuda/device.h"
#include "cuda/launch.h"
#include "cuda/memory.h"
#include "cuda/runtime.h"

namespace ck::cuda {
namespace {

constexpr int64_t kRounding = 512;
constexpr int64_t kSmall = 1 << 20, kSmallSegment = 2 << 20;
constexpr int64_t kMost = int64_t{1} << 56;  // beyond any memory; below it no size overflows
constexpr int kPoison = 0xff;                // floats of these bytes are NaN

bool environment_flag(const char* name, bool otherwise) {
    const char* text = std::getenv(name);
    return text ? *text != '0' : otherwise;
}

struct Block {
    char* data;
    int64_t bytes;
    bool small, free;
    Block *before = nullptr, *after = nullptr;  // neighbours in the segment
};

struct BySize {
    bool operator()(const Block* a, const Block* b) const {
        return a->bytes != b->bytes ? a->bytes < b->bytes : a->data < b->data;
    }
};

// Blocks for one device, or for one graph on it. Its owner locks.
class Pool {
  public:
    // A graph's pool keeps its segments to the end: what was freed while it was recorded is in its nodes.
    explicit Pool(bool reclaims) : reclaims_(reclaims) {}

    void* allocate(int64_t bytes, int device) {
        if (bytes > kMost) throw_out_of_memory(bytes, device);
        const int64_t wanted = std::max(kRounding, ceil_div(bytes, kRounding) * kRounding);
        Block* block = take(wanted, wanted <= kSmall);
        if (block) {
            ++hits_;
        } else {
            block = new_segment(bytes, wanted, device);
        }
        split(block, wanted);
        block->free = false;
        used_.emplace(block->data, block);
        allocated_ += block->bytes;
        cached_ -= block->bytes;
        return block->data;
    }

    // False when the block is not this pool's.
    bool release(void* data) {
        const auto found = used_.find(data);
        if (found == used_.end()) return false;
        Block* block = found->second;
        used_.erase(found);
        allocated_ -= block->bytes;
        cached_ += block->bytes;
        block->free = true;
        if (block->before && block->before->free) block = merge(block->before, block);
        if (block->after && block->after->free) block = merge(block, block->after);
        free_[block->small].insert(block);
        if (!caching_ && reclaims_) return_segments();
        return true;
    }

    bool in_use() const { return !used_.empty(); }
    int64_t allocated() const { return allocated_; }

    void empty_cache() { return_segments(); }

    void add_to(MemoryStats& stats) {
        stats.allocated += allocated_;
        stats.cached += cached_;
        stats.segments += segments_;
        stats.hits += hits_;
    }

  private:
    Block* take(int64_t bytes, bool small) {
        Block key{nullptr, bytes, small, true};
        auto& list = free_[small];
        const auto best = list.lower_bound(&key);
        if (best == list.end()) return nullptr;
        Block* block = *best;
        list.erase(best);
        return block;
    }

    Block* new_segment(int64_t requested, int64_t bytes, int device) {
        const bool small = bytes <= kSmall;
        // Without caching every tensor has memory of its exact size, whose ends a memory checker sees.
        const int64_t size = !caching_ ? std::max<int64_t>(requested, 1) : small ? kSmallSegment : bytes;
        void* data = nullptr;
        cudaError_t status = cudaMalloc(&data, static_cast<size_t>(size));
        if (status == cudaErrorMemoryAllocation && cached_ > 0 && reclaims_) {
            cudaGetLastError();
            return_segments();
            status = cudaMalloc(&data, static_cast<size_t>(size));
        }
        if (status == cudaErrorMemoryAllocation) throw_out_of_memory(requested, device);
        check({"allocate", {requested}}, status, "memory");
        ++segments_;
        cached_ += size;
        return new Block{static_cast<char*>(data), size, small, true};
    }

    [[noreturn]] void throw_out_of_memory(int64_t bytes, int device) {
        cudaGetLastError();
        size_t free = 0, total = 0;
        cudaMemGetInfo(&free, &total);
        throw DeviceError(concat("[allocate] out of memory on cuda:", device, ". Received: ", bytes, " bytes; ",
                                 allocated_, " are in tensors, ", cached_, " cached, ", free, " of ", total,
                                 " free on the device."));
    }

    void split(Block* block, int64_t bytes) {
        if (!caching_ || block->bytes - bytes < kRounding) return;
        Block* rest = new Block{block->data + bytes, block->bytes - bytes, block->small, true, block, block->after};
        if (rest->after) rest->after->before = rest;
        block->after = rest;
        block->bytes = bytes;
        free_[rest->small].insert(rest);
    }

    Block* merge(Block* first, Block* second) {
        free_[first->small].erase(first);
        free_[second->small].erase(second);
        first->bytes += second->bytes;
        first->after = second->after;
        if (first->after) first->after->before = first;
        delete second;
        return first;
    }

    // Segments that are one free block go back to the driver. Others still have tensors in them.
    void return_segments() {
        for (auto& list : free_) {
            for (auto it = list.begin(); it != list.end();) {
                Block* block = *it;
                if (block->before || block->after) {
                    ++it;
                    continue;
                }
                cudaFree(block->data);  // waits until nothing uses it
                cached_ -= block->bytes;
                --segments_;
                delete block;
                it = list.erase(it);
            }
        }
    }

    std::set<Block*, BySize> free_[2];  // of large and of small segments
    std::unordered_map<void*, Block*> used_;
    int64_t allocated_ = 0, cached_ = 0, segments_ = 0, hits_ = 0;
    const bool reclaims_;
    const bool caching_ = environment_flag("CONVKIT_CUDA_CACHE", true);
};

class DevicePools;
// What this thread records a graph on; what others allocate meanwhile is not the graph's.
thread_local const DevicePools* recorder = nullptr;

// The pools of one device: the common one, and one for each graph.
class DevicePools {
  public:
    void* allocate(int64_t bytes, int device) {
        std::lock_guard<std::mutex> guard(lock_);
        const bool recorded = recording_ && recorder == this;
        void* data = (recorded ? private_.at(recording_).pool : common_).allocate(bytes, device);
        int64_t allocated = common_.allocated();
        for (const auto& [number, entry] : private_) allocated += entry.pool.allocated();
        peak_ = std::max(peak_, allocated);
        return data;
    }

    void release(void* data) {
        std::lock_guard<std::mutex> guard(lock_);
        for (auto it = private_.begin(); it != private_.end(); ++it) {
            if (!it->second.pool.release(data)) continue;
            drop_if_done(it);
            return;
        }
        common_.release(data);
    }

    PrivatePool begin_private() {
        std::lock_guard<std::mutex> guard(lock_);
        CK_CHECK_AS(DeviceError, recording_ == 0, "graph", "another graph is being recorded on this device.");
        common_.empty_cache();  // the graph takes as much again as the step that ran before
        recording_ = ++made_;
        recorder = this;
        private_[recording_];
        return recording_;
    }
    void end_private() {
        std::lock_guard<std::mutex> guard(lock_);
        recording_ = 0;
        recorder = nullptr;
    }
    void retire(PrivatePool pool) {
        std::lock_guard<std::mutex> guard(lock_);
        const auto it = private_.find(pool);
        it->second.retired = true;
        drop_if_done(it);
    }

    void empty_cache() {
        std::lock_guard<std::mutex> guard(lock_);
        common_.empty_cache();
    }
    void add_to(MemoryStats& stats) {
        std::lock_guard<std::mutex> guard(lock_);
        common_.add_to(stats);
        for (auto& [number, entry] : private_) entry.pool.add_to(stats);
        stats.peak += peak_;
    }

  private:
    struct Private {
        Pool pool{false};
        bool retired = false;
    };

    void drop_if_done(std::map<PrivatePool, Private>::iterator it) {
        if (!it->second.retired || it->second.pool.in_use()) return;
        it->second.pool.empty_cache();
        private_.erase(it);
    }

    std::mutex lock_;
    Pool common_{true};
    std::map<PrivatePool, Private> private_;
    PrivatePool recording_ = 0, made_ = 0;
    int64_t peak_ = 0;
};

struct Devices {
    std::mutex lock;
    std::map<int, DevicePools> pools;
};
// Never destroyed: tensors may outlive every static of this library, and the driver takes the memory back anyway.
Devices& devices_with_memory() {
    static Devices* all = new Devices;
    return *all;
}
DevicePools& pools(int device) {
    std::lock_guard<std::mutex> guard(devices_with_memory().lock);
    return devices_with_memory().pools[device];
}

bool poisoning() {
    static const bool wanted = environment_flag("CONVKIT_CUDA_POISON", false);
    return wanted;
}

}  // namespace

void* allocate(int64_t bytes, int device) {
    use_device(device);
    void* data = pools(device).allocate(bytes, device);
    if (poisoning()) check({"allocate", {bytes}}, cudaMemsetAsync(data, kPoison, bytes, stream()), "poison");
    return data;
}

void release(void* block, int64_t, int device) {
    pools(device).release(block);
}

void* allocate_scratch(const Op&, int64_t bytes) {
    return allocate(bytes, current_device());
}

void release_scratch(void* block, int64_t bytes) {
    release(block, bytes, current_device());
}

PrivatePool begin_private_pool(int device) {
    return pools(device).begin_private();
}

void end_private_pool(int device) {
    pools(device).end_private();
}

void retire_private_pool(int device, PrivatePool pool) {
    pools(device).retire(pool);
}

MemoryStats memory_stats() {
    std::lock_guard<std::mutex> guard(devices_with_memory().lock);
    MemoryStats stats;
    for (auto& [device, of_device] : devices_with_memory().pools) of_device.add_to(stats);
    return stats;
}

void empty_cache() {
    std::lock_guard<std::mutex> guard(devices_with_memory().lock);
    for (auto& [device, of_device] : devices_with_memory().pools) of_device.empty_cache();
}

}  // namespace ck::cuda
