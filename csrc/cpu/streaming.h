// When to write a result past the caches.
#pragma once
#include "cpu/dispatch.h"

namespace ck::cpu {

// For y of `elements` floats in rows of `row`. A result that the second-level caches do not hold gains from bypassing
// the next one too, though another layer reads it soon: a line that is written there is read first. Measured on
// training steps of ResNet-18 and -50, batch 8. Streaming stores need aligned, whole vectors. They are weakly ordered,
// and no fence follows them: a loop over threads ends in locked instructions, which wait for them, and a serial one is
// read by its own thread.
inline bool worth_streaming(const float* y, int64_t elements, int64_t row) {
    constexpr int64_t kElements = 512 << 10;  // 2 MiB
    return elements >= kElements && row % kernels().vector_width == 0 && reinterpret_cast<uintptr_t>(y) % 64 == 0;
}

}  // namespace ck::cpu
