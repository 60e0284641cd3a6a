// When to write a result past the caches.
#pragma once
#include "cpu/dispatch.h"

namespace ck::cpu {

// For y of `elements` floats in rows of `row`. Results that fill a last-level cache gain from bypassing it; small ones
// are read again by the next layer. Streaming stores need aligned, whole vectors. They are weakly ordered, and no fence
// follows them: a loop over threads ends in locked instructions, which wait for them, and a serial one is read by its
// own thread.
inline bool worth_streaming(const float* y, int64_t elements, int64_t row) {
    constexpr int64_t kElements = 2 << 20;  // 8 MiB
    return elements >= kElements && row % kernels().vector_width == 0 && reinterpret_cast<uintptr_t>(y) % 64 == 0;
}

}  // namespace ck::cpu
