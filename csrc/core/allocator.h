// The caching host allocator behind tensors and scratch: fresh pages cost more than most kernels here, so freed
// blocks are kept for reuse up to a limit (ck.set_workspace_limit). Blocks are 64-byte aligned.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ck {

void* allocate(int64_t bytes);             // throws std::bad_alloc; bytes = 0 gives a valid pointer
void release(void* block, int64_t bytes);  // bytes as passed to allocate
void set_cache_limit(int64_t bytes);       // most bytes kept for later; frees the blocks that are above
int64_t cached_bytes();                    // in free blocks

// Blocks in use that serve a later op only (core/derived.h) come off the limit of free blocks.
bool retain(int64_t bytes);  // false: no room, nothing is counted
void release_retained(int64_t bytes);
int64_t retained_bytes();

// As allocate and release, counted as scratch.
void* allocate_scratch(int64_t bytes);
void release_scratch(void* block, int64_t bytes);
int64_t scratch_peak();     // most bytes that were scratch at once since reset_scratch_peak(); all threads together
void reset_scratch_peak();  // from here on; what is held now counts

// Scratch of one op, returned to the cache when the op ends.
template <class T>
class Scratch {
  public:
    explicit Scratch(int64_t count)
        : bytes_(count * static_cast<int64_t>(sizeof(T))), data_(static_cast<T*>(allocate_scratch(bytes_))) {}
    ~Scratch() { release_scratch(data_, bytes_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    T* data() const { return data_; }
    int64_t bytes() const { return bytes_; }

  private:
    int64_t bytes_;
    T* data_;
};

}  // namespace ck
