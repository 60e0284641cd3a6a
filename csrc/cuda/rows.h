// Threads of a block shared out over rows, and their sums and maxima in an order that depends on the shape alone.
#pragma once
#include <type_traits>

#include "cuda/cuda.h"
#include "cuda/tiles.h"

namespace ck::cuda {

struct Add {
    template <class V>
    __device__ static V start() {
        return 0;
    }
    template <class V>
    __device__ V operator()(V a, V b) const {
        if constexpr (std::is_integral_v<V>)  // wraps, as numpy's
            return static_cast<V>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
        else
            return a + b;
    }
};
// NaN wins.
struct Max {
    template <class V>
    __device__ static V start() {
        if constexpr (std::is_integral_v<V>)
            return INT64_MIN;
        else
            return -__builtin_huge_valf();
    }
    template <class V>
    __device__ V operator()(V a, V b) const {
        return a != a || a > b ? a : b;
    }
};

// f over the values of `lanes` neighbouring lanes (a power of two up to 32); each gets the result. f commutes, so all
// get the same bits.
template <class V, class F>
__device__ __forceinline__ V reduce_lanes(V v, int lanes, F f) {
    for (int offset = lanes / 2; offset > 0; offset /= 2) v = f(v, __shfl_xor_sync(0xffffffffu, v, offset));
    return v;
}

// f over the values of the whole block, whose threads are a multiple of 32; each gets the result.
template <class V, class F>
__device__ __forceinline__ V reduce_block(V v, F f) {
    CK_SHARED(V, partial, [32]);
    v = reduce_lanes(v, 32, f);
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
    __syncthreads();
    V total = partial[0];
    for (int warp = 1; warp < static_cast<int>(blockDim.x / 32); ++warp) total = f(total, partial[warp]);
    __syncthreads();  // before partial is used again
    return total;
}

// How many threads take a row: a power of two up to a warp, which shuffles, or the whole block, which goes through
// shared memory.
struct RowLanes {
    int lanes;

    __device__ __forceinline__ int lane() const { return static_cast<int>(threadIdx.x) & (lanes - 1); }
    // Rows are walked by the whole block together, since reduce() is for all its threads:
    //   for (int64_t first = lanes.first_row(); first < rows; first += lanes.row_step()) row = first + lanes.row()
    __device__ __forceinline__ int row() const { return static_cast<int>(threadIdx.x) / lanes; }
    __device__ __forceinline__ int64_t first_row() const { return static_cast<int64_t>(blockIdx.x) * rows(); }
    __device__ __forceinline__ int64_t row_step() const { return static_cast<int64_t>(gridDim.x) * rows(); }
    __device__ __forceinline__ int rows() const { return static_cast<int>(blockDim.x) / lanes; }

    template <class V, class F>
    __device__ __forceinline__ V reduce(V v, F f) const {
        return lanes <= 32 ? reduce_lanes(v, lanes, f) : reduce_block(v, f);
    }
};

// For launchers with blocks of kElementwiseThreads: rows of so many vectors. A warp takes up to 8 vectors a lane.
inline RowLanes row_lanes(int64_t vectors) {
    if (vectors > 8 * 32) return {kElementwiseThreads};
    int lanes = 1;
    while (lanes < 32 && lanes < vectors) lanes *= 2;
    return {lanes};
}

}  // namespace ck::cuda
