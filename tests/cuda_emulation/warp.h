// Barriers, votes and shuffles.
#pragma once
#include "language.h"

inline void __syncthreads(emulation::Caller caller = emulation::Caller::here()) {
    emulation::barrier(caller);
}
inline void __syncwarp(uint32_t mask = 0xffffffffu, emulation::Caller caller = emulation::Caller::here()) {
    emulation::warp_barrier(mask, caller);
}
inline void __threadfence() {
    emulation::fence();
}
inline void __threadfence_block() {
    emulation::fence();
}
inline void __nanosleep(unsigned) {
    emulation::yield();
}
inline uint32_t __activemask() {
    emulation::fail("__activemask() says nothing on a GPU that schedules threads independently");
}

namespace emulation {

struct Ballot {
    int predicate;
    uint32_t result;
    static const char* name() { return "__ballot_sync"; }
    static void finish(Ballot** all, int count) {
        uint32_t votes = 0;
        for (int i = 0; i < count; ++i)
            if (all[i] && all[i]->predicate) votes |= 1u << i;
        for (int i = 0; i < count; ++i)
            if (all[i]) all[i]->result = votes;
    }
};

struct BlockCount {
    int predicate, result;
    static const char* name() { return "__syncthreads_count"; }
    static void finish(BlockCount** all, int count) {
        int votes = 0;
        for (int i = 0; i < count; ++i) votes += all[i]->predicate != 0;
        for (int i = 0; i < count; ++i) all[i]->result = votes;
    }
};

template <class T>
struct Shuffle {
    T value, result;
    int source;
    static const char* name() { return "__shfl_sync"; }
    static void finish(Shuffle** all, int count) {
        for (int i = 0; i < count; ++i) {
            if (!all[i]) continue;
            const int source = all[i]->source;
            if (!all[source]) fail("__shfl_sync: lane %d reads lane %d, which does not take part", i, source);
            all[i]->result = all[source]->value;
        }
    }
};
template <class T>
T shuffle(uint32_t mask, T value, int source, Caller caller) {
    Shuffle<T> mine{value, value, source};
    meet(Scope::warp, mask, mine, caller);
    return mine.result;
}

inline int block_count(int predicate, Caller caller) {
    BlockCount mine{predicate, 0};
    meet(Scope::block, ~0u, mine, caller);
    barrier(caller);  // orders memory, as __syncthreads does
    return mine.result;
}

}  // namespace emulation

inline uint32_t __ballot_sync(uint32_t mask, int predicate, emulation::Caller caller = emulation::Caller::here()) {
    emulation::Ballot mine{predicate, 0};
    emulation::meet(emulation::Scope::warp, mask, mine, caller);
    return mine.result;
}
inline int __any_sync(uint32_t mask, int predicate, emulation::Caller caller = emulation::Caller::here()) {
    return __ballot_sync(mask, predicate, caller) != 0;
}
inline int __all_sync(uint32_t mask, int predicate, emulation::Caller caller = emulation::Caller::here()) {
    return __ballot_sync(mask, !predicate, caller) == 0;
}
inline int __syncthreads_count(int predicate, emulation::Caller caller = emulation::Caller::here()) {
    return emulation::block_count(predicate, caller);
}
inline int __syncthreads_or(int predicate, emulation::Caller caller = emulation::Caller::here()) {
    return emulation::block_count(predicate, caller) != 0;
}
inline int __syncthreads_and(int predicate, emulation::Caller caller = emulation::Caller::here()) {
    return emulation::block_count(!predicate, caller) == 0;
}

// A lane whose source lies outside its section of `width` lanes keeps its own value.
template <class T>
T __shfl_sync(uint32_t mask, T value, int source, int width = 32,
              emulation::Caller caller = emulation::Caller::here()) {
    const int section = emulation::lane() & ~(width - 1);
    return emulation::shuffle(mask, value, section | (source & (width - 1)), caller);
}
template <class T>
T __shfl_xor_sync(uint32_t mask, T value, int other, int width = 32,
                  emulation::Caller caller = emulation::Caller::here()) {
    const int lane = emulation::lane(), source = lane ^ other;
    const bool later_section = (source & ~(width - 1)) > (lane & ~(width - 1));
    return emulation::shuffle(mask, value, later_section ? lane : source, caller);
}
template <class T>
T __shfl_down_sync(uint32_t mask, T value, unsigned delta, int width = 32,
                   emulation::Caller caller = emulation::Caller::here()) {
    const int lane = emulation::lane(), source = lane + static_cast<int>(delta);
    return emulation::shuffle(mask, value, source > (lane | (width - 1)) ? lane : source, caller);
}
template <class T>
T __shfl_up_sync(uint32_t mask, T value, unsigned delta, int width = 32,
                 emulation::Caller caller = emulation::Caller::here()) {
    const int lane = emulation::lane(), source = lane - static_cast<int>(delta);
    return emulation::shuffle(mask, value, source < (lane & ~(width - 1)) ? lane : source, caller);
}
