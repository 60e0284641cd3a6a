// What is computed from the contents of a storage and kept beside it, with its version: packed weights. Nothing here
// is visible from outside; a write drops it.
#pragma once
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "core/allocator.h"

namespace ck {

using DerivedBuffer = Scratch<float>;

// Names one layout within a storage: a number for the kind of packing and everything that determines the result
// besides the contents. Never the size of an activation, or every new batch would add an entry.
uint64_t derived_key(std::initializer_list<int64_t> parts);

// Part of every Storage. A buffer is kept from the second use of its key at the same version on: weights in training
// are written between two uses and would pay the memory for nothing.
class DerivedCache {
  public:
    struct Lookup {
        std::shared_ptr<const DerivedBuffer> buffer;  // null: the caller makes one ...
        bool wanted = false;                          // ... and hands it to keep() if it is wanted
        uint64_t version = 0;                         // of the contents that the caller is about to read
    };

    DerivedCache() = default;
    ~DerivedCache();
    DerivedCache(const DerivedCache&) = delete;
    DerivedCache& operator=(const DerivedCache&) = delete;

    Lookup find(uint64_t key);
    void keep(uint64_t key, uint64_t version, std::shared_ptr<const DerivedBuffer> buffer);

    uint64_t version() const { return version_; }  // another one wherever the contents may be others
    uint64_t writes() const { return writes_; }    // the counted ones alone
    void contents_written();  // after the write: what others made of half-written contents goes too

    // Between these two, writes are not counted and nothing is kept.
    void begin_outside_writes();
    void end_outside_writes();
    bool writes_counted();

    static void drop_all();  // of every storage, as if all had been written

  private:
    struct Entry {
        uint64_t key;
        std::shared_ptr<const DerivedBuffer> buffer;  // null: used once so far
    };
    using Entries = std::vector<Entry>;
    struct State;
    static State& state();
    Entries take_entries();  // with the lock held

    std::atomic<uint64_t> version_{0}, writes_{0};  // written with the lock held, as all below
    int64_t outside_writers_ = 0;
    uint64_t generation_ = 0;  // of entries_: the number of drop_all's before it
    bool searched_ = false;    // ever: else there is nothing to free, and most storages are activations
    Entries entries_;
};

// The packed form of some weights for the time of one op: from the cache, or made by fill(float*) and perhaps kept.
class PackedWeights {
  public:
    template <class Fill>
    PackedWeights(DerivedCache* cache /*may be null*/, uint64_t key, int64_t floats, Fill&& fill)
        : PackedWeights(cache, key, cache && floats > 0 ? cache->find(key) : DerivedCache::Lookup{}, floats,
                        std::forward<Fill>(fill)) {}
    // For a caller that has looked the key up itself.
    template <class Fill>
    PackedWeights(DerivedCache* cache, uint64_t key, DerivedCache::Lookup found, int64_t floats, Fill&& fill) {
        buffer_ = std::move(found.buffer);
        if (buffer_) return;
        const auto fresh = std::make_shared<DerivedBuffer>(floats);
        fill(fresh->data());
        if (found.wanted) cache->keep(key, found.version, fresh);
        buffer_ = fresh;
    }
    const float* data() const { return buffer_->data(); }

  private:
    std::shared_ptr<const DerivedBuffer> buffer_;
};

}  // namespace ck
