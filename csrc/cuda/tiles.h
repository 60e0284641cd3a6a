// Numbers that come from the hardware; the only place that has them.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/shapes.h"

namespace ck::cuda {

// Elementwise kernels: 256 threads hide the latency of memory with 8 blocks on a multiprocessor (2,048 threads).
constexpr int kElementwiseThreads = 256;
// Blocks of these that a multiprocessor shall hold: 64 registers a thread. Told nothing, ptxas aims at more and spills.
constexpr int kElementwiseBlocks = 4;
// 8 blocks on each of 132 multiprocessors (H200), twice for the tail; a constant, so that no result depends on the GPU.
constexpr int64_t kMaxElementwiseBlocks = 2 * 8 * 132;
// The largest second dimension of a grid.
constexpr int64_t kMostGridRows = 65535;
// What a launch may have without asking for more.
constexpr size_t kDefaultSharedBytes = 48 * 1024;

}  // namespace ck::cuda
