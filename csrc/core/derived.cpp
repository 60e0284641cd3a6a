#include "core/derived.h"

#include <mutex>
#include <unordered_set>
#include <utility>

#include "core/parallel.h"

namespace ck {
namespace {

// Of one storage: the 16 phases of a data gradient with stride 4, the forward pass and as much again. Beyond it all go.
constexpr size_t kMostEntries = 34;

}  // namespace

// One lock for all storages, held for a look-up and never while memory is allocated or freed.
struct DerivedCache::State {
    std::mutex mutex;
    std::unordered_set<DerivedCache*> holders;  // of buffers
    uint64_t generation = 0;                    // number of drop_all's
};

// Never destroyed and held still over a fork, as the allocator's.
DerivedCache::State& DerivedCache::state() {
    static State* const instance = [] {
        auto* s = new State;
        at_fork([] { state().mutex.lock(); }, [] { state().mutex.unlock(); });
        return s;
    }();
    return *instance;
}

uint64_t derived_key(std::initializer_list<int64_t> parts) {
    uint64_t key = parts.size();
    for (int64_t part : parts) {  // splitmix64's steps: every bit of a part reaches every bit of the key
        key = (key ^ static_cast<uint64_t>(part)) + 0x9E3779B97F4A7C15;
        key = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9;
        key = (key ^ (key >> 27)) * 0x94D049BB133111EB;
        key ^= key >> 31;
    }
    return key;
}

DerivedCache::~DerivedCache() {
    if (!searched_) return;
    std::lock_guard<std::mutex> lock(state().mutex);
    state().holders.erase(this);
}

// What it returns is to be freed without the lock.
DerivedCache::Entries DerivedCache::take_entries() {
    state().holders.erase(this);
    return std::exchange(entries_, {});
}

DerivedCache::Lookup DerivedCache::find(uint64_t key) {
    Entries dropped;
    std::lock_guard<std::mutex> lock(state().mutex);
    searched_ = true;
    if (generation_ != state().generation) {
        dropped = take_entries();
        generation_ = state().generation;
    }
    if (outside_writers_ > 0) return {};
    for (const Entry& entry : entries_)
        if (entry.key == key) return {entry.buffer, true, version_};
    if (entries_.size() == kMostEntries) dropped = take_entries();
    entries_.push_back({key, nullptr});
    return {};
}

void DerivedCache::keep(uint64_t key, uint64_t version, std::shared_ptr<const DerivedBuffer> buffer) {
    const int64_t bytes = buffer->bytes();
    if (!retain(bytes)) return;
    // Counted until its last user, perhaps an op in another thread, has done with it.
    std::shared_ptr<const DerivedBuffer> kept(buffer.get(),
                                              [buffer, bytes](const DerivedBuffer*) { release_retained(bytes); });
    std::lock_guard<std::mutex> lock(state().mutex);
    if (outside_writers_ > 0 || version != version_) return;
    for (Entry& entry : entries_) {
        if (entry.key != key || entry.buffer) continue;
        entry.buffer = std::move(kept);
        state().holders.insert(this);
        return;
    }
}

void DerivedCache::contents_written() {
    Entries dropped;
    std::lock_guard<std::mutex> lock(state().mutex);
    ++version_;
    ++writes_;
    if (!entries_.empty()) dropped = take_entries();
}

void DerivedCache::begin_outside_writes() {
    Entries dropped;
    std::lock_guard<std::mutex> lock(state().mutex);
    ++outside_writers_;
    if (!entries_.empty()) dropped = take_entries();
}

void DerivedCache::end_outside_writes() {
    std::lock_guard<std::mutex> lock(state().mutex);
    ++version_;
    --outside_writers_;
}

bool DerivedCache::writes_counted() {
    std::lock_guard<std::mutex> lock(state().mutex);
    return outside_writers_ == 0;
}

void DerivedCache::drop_all() {
    std::vector<Entries> dropped;
    std::lock_guard<std::mutex> lock(state().mutex);
    ++state().generation;
    while (!state().holders.empty()) dropped.push_back((*state().holders.begin())->take_entries());
}

}  // namespace ck
