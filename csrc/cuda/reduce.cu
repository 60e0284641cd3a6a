// Reductions of [outer,len,inner] along len. Rows (inner = 1) are shared out among neighbouring threads, columns among
// lines of them (cuda/columns.h).
#include "cuda/backend.h"
#include "cuda/columns.h"

namespace ck::cuda {
namespace {

// A block of 256 threads takes a piece of a row in 8 vectors of 4 floats each.
constexpr int64_t kPiece = kElementwiseThreads * 8 * 4;

// y[o,piece] = f over a piece of x[o,len]
template <class F, class X, class Y>
__global__ void __launch_bounds__(kElementwiseThreads)
    rows_kernel(RowLanes lanes, int64_t outer, int64_t len, int64_t pieces, const X* x /*[outer,len]*/, bool wide, F f,
                Y* y /*[outer,pieces]*/) {
    constexpr int kN = kVector<X>;
    const int64_t rows = outer * pieces;
    for (int64_t first = lanes.first_row(); first < rows; first += lanes.row_step()) {
        const int64_t row = first + lanes.row(), o = row / pieces, begin = (row - o * pieces) * kPiece;
        const int64_t size = row < rows ? min(kPiece, len - begin) : 0;
        using V = Number<X>;
        V total = F::template start<V>();
        for (int64_t l = lanes.lane() * kN; l < size; l += lanes.lanes * kN) {
            V v[kN];
            load(x + o * len + begin + l, size - l, wide, v);
#pragma unroll
            for (int j = 0; j < kN; ++j)
                if (l + j < size) total = f(total, v[j]);
        }
        total = lanes.reduce(total, f);
        if (row < rows && lanes.lane() == 0) y[row] = from_number<Y>(total);
    }
}

template <class F, class X, class Y>
void launch_rows(const Op& op, int64_t outer, int64_t len, int64_t pieces, const X* x, F f, Y* y) {
    const RowLanes lanes = row_lanes(ceil_div(std::min(len, kPiece), kVector<X>));
    const dim3 grid = blocks_for(outer * pieces, kElementwiseThreads / lanes.lanes);
    launch(op, rows_kernel<F, X, Y>, grid, kElementwiseThreads, 0, lanes, outer, len, pieces, x, in_vectors<X>(len, x),
           f, y);
}

// y[outer] = f over the rows of x[outer,len]
template <class F, class X, class Y>
void reduce_rows(const Op& op, int64_t outer, int64_t len, const X* x, F f, Y* y) {
    if (outer == 0) return;
    const int64_t pieces = std::max<int64_t>(1, ceil_div(len, kPiece));
    if (pieces == 1) return launch_rows(op, outer, len, 1, x, f, y);
    using V = Number<X>;
    const Scratch<V> partial(op, outer * pieces);
    launch_rows(op, outer, len, pieces, x, f, partial.data());
    reduce_rows(op, outer, pieces, static_cast<const V*>(partial.data()), f, y);
}

// The first NaN, else the first maximum.
template <class V>
struct Place {
    V value;
    int64_t index;  // -1: of nothing
};
template <class V>
__device__ __forceinline__ Place<V> better(Place<V> a, Place<V> b) {
    const bool nan_a = a.value != a.value, nan_b = b.value != b.value;
    if (b.index < 0 || a.index < 0) return a.index < 0 ? b : a;
    if (nan_a != nan_b) return nan_a ? a : b;
    if (!nan_a && a.value != b.value) return a.value > b.value ? a : b;
    return a.index < b.index ? a : b;
}
template <class V>
__device__ __forceinline__ Place<V> shuffled(Place<V> a, int offset) {
    return {__shfl_xor_sync(0xffffffffu, a.value, offset), __shfl_xor_sync(0xffffffffu, a.index, offset)};
}

template <class T>
__global__ void __launch_bounds__(kElementwiseThreads)
    argmax_rows_kernel(RowLanes lanes, int64_t outer, int64_t len, const T* x /*[outer,len]*/,
                       int64_t* index /*[outer]*/) {
    using At = Place<Number<T>>;
    CK_SHARED(At, of_warp, [kElementwiseThreads / 32]);
    for (int64_t first = lanes.first_row(); first < outer; first += lanes.row_step()) {
        const int64_t row = first + lanes.row();
        At best{0, -1};
        if (row < outer)
            for (int64_t l = lanes.lane(); l < len; l += lanes.lanes)
                best = better(best, At{to_number(x[row * len + l]), l});
        for (int offset = min(lanes.lanes, 32) / 2; offset > 0; offset /= 2)
            best = better(best, shuffled(best, offset));
        if (lanes.lanes > 32) {
            if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = best;
            __syncthreads();
            for (int warp = 0; warp < kElementwiseThreads / 32; ++warp) best = better(best, of_warp[warp]);
            __syncthreads();  // before of_warp is used again
        }
        if (row < outer && lanes.lane() == 0) index[row] = best.index;
    }
}

// A thread a column.
template <class T>
__global__ void __launch_bounds__(kElementwiseThreads)
    argmax_columns_kernel(ReduceShape s, const T* x /*[outer,len,inner]*/, int64_t* index /*[outer,inner]*/) {
    using At = Place<Number<T>>;
    for (int64_t c = first_index(); c < s.outer * s.inner; c += index_step()) {
        const int64_t o = c / s.inner, i = c - o * s.inner;
        At best{0, -1};
        for (int64_t l = 0; l < s.len; ++l) best = better(best, At{to_number(x[(o * s.len + l) * s.inner + i]), l});
        index[c] = best.index;
    }
}

// Index counts the elements of dx.
template <class T, class Index>
__global__ void __launch_bounds__(kElementwiseThreads)
    scatter_kernel(Index len, Index inner, Index n, const int64_t* index /*[outer,inner]*/,
                   const T* dy /*[outer,inner]*/, T* dx /*[outer,len,inner]*/) {
    for (Index at = static_cast<Index>(first_index()); at < n; at += static_cast<Index>(index_step())) {
        const Index line = at / inner, i = at - line * inner, o = line / len, l = line - o * len;
        const Index column = o * inner + i;
        dx[at] = index[column] == static_cast<int64_t>(l) ? dy[column] : from_float<T>(0);
    }
}

}  // namespace

template <class T>
void reduce(ReduceOp op, const ReduceShape& s, const T* x, T* y) {
    const Op name{"reduce", {s.outer, s.len, s.inner}};
    const auto run = [&](auto f) {
        if (s.inner == 1)
            reduce_rows(name, s.outer, s.len, x, f, y);
        else
            reduce_columns(name, s, Elements<T>{x}, in_vectors<T>(s.inner, x), f, y);
    };
    op == ReduceOp::sum ? run(Add{}) : run(Max{});
}

template <class T>
void argmax(const ReduceShape& s, const T* x, int64_t* index) {
    const Op op{"argmax", {s.outer, s.len, s.inner}};
    if (s.outer * s.inner == 0) return;
    if (s.inner == 1) {
        const RowLanes lanes = row_lanes(s.len);
        launch(op, argmax_rows_kernel<T>, blocks_for(s.outer, kElementwiseThreads / lanes.lanes), kElementwiseThreads,
               0, lanes, s.outer, s.len, x, index);
    } else {
        launch(op, argmax_columns_kernel<T>, blocks_for(s.outer * s.inner, kElementwiseThreads), kElementwiseThreads, 0,
               s, x, index);
    }
}

template <class T>
void scatter_to_index(const ReduceShape& s, const int64_t* index, const T* dy, T* dx) {
    const int64_t n = s.outer * s.len * s.inner;
    if (n == 0) return;
    const auto run = [&](auto zero) {
        using Index = decltype(zero);
        launch({"scatter_to_index", {s.outer, s.len, s.inner}}, scatter_kernel<T, Index>,
               blocks_for(n, kElementwiseThreads), kElementwiseThreads, 0, static_cast<Index>(s.len),
               static_cast<Index>(s.inner), static_cast<Index>(n), index, dy, dx);
    };
    n < (int64_t{1} << 31) ? run(uint32_t{}) : run(int64_t{});  // 64-bit division is slow on a GPU
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(reduce)
CK_CUDA_INSTANTIATE(argmax)
CK_CUDA_INSTANTIATE(scatter_to_index)
CK_CUDA_INSTANTIATE_INT64(reduce)
CK_CUDA_INSTANTIATE_INT64(argmax)
