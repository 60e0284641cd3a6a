// Pointwise ops. All are bound by memory: the switch over the operation is the same for all threads and hides behind
// the loads.
#include "core/scalar.h"
#include "cuda/backend.h"
#include "cuda/columns.h"
#include "cuda/map.h"

namespace ck::cuda {
namespace {

struct Unary {
    UnaryOp op;
    float slope;
    __device__ float operator()(float x) const { return unary_value(op, slope, x); }
};

struct UnaryGradient {
    UnaryOp op;
    float slope;
    __device__ float operator()(float x, float y, float dy) const { return unary_gradient_value(op, slope, x, y, dy); }
};

struct ActivationGradient {
    Activation act;
    __device__ float operator()(float y, float dy) const { return activation_gradient(act, y, dy); }
};

struct Binary {
    BinaryOp op;
    template <class V>
    __device__ V operator()(V a, V b) const {
        return binary_value(op, a, b);
    }
};

struct Compare {
    CompareOp op;
    template <class V>
    __device__ bool operator()(V a, V b) const {
        return compare_value(op, a, b);
    }
};

// n neighbours of an operand whose step along the innermost axis is 1, or 0 where it repeats.
template <int n, class T, class V>
__device__ __forceinline__ void load_step(const T* p, int64_t step, V (&v)[n]) {
    if (step) return load(p, v);
    const V value = to_number(*p);
#pragma unroll
    for (int i = 0; i < n; ++i) v[i] = value;
}

// y = f(a, b); a thread takes n neighbours along the innermost axis. Index counts the elements of y.
template <class F, class T, class Y, class Index, int n>
__global__ void __launch_bounds__(kElementwiseThreads)
    broadcast_kernel(F f, Broadcast s, Index size, const T* a, const T* b, Y* y /*[size]*/) {
    const int inner = s.ndim - 1;
    for (Index i = static_cast<Index>(first_index()) * n; i < size; i += static_cast<Index>(index_step()) * n) {
        Index rest = i;
        int64_t at_a = 0, at_b = 0;
        for (int d = inner; d >= 0; --d) {
            const Index extent = static_cast<Index>(s.shape[d]), outer = rest / extent;
            const int64_t step = static_cast<int64_t>(rest - outer * extent);
            at_a += step * s.stride_a[d];
            at_b += step * s.stride_b[d];
            rest = outer;
        }
        Number<T> u[n], v[n];
        decltype(f(u[0], v[0])) result[n];
        load_step(a + at_a, s.stride_a[inner], u);
        load_step(b + at_b, s.stride_b[inner], v);
#pragma unroll
        for (int j = 0; j < n; ++j) result[j] = f(u[j], v[j]);
        store(y + i, result);
    }
}

// Whether every row of an operand can be walked in vectors.
template <class T>
bool rows_in_vectors(const Broadcast& s, const int64_t* stride, const T* p) {
    const int inner = s.ndim - 1;
    if (stride[inner] == 0) return true;  // one element, repeated
    for (int d = 0; d < inner; ++d)
        if (stride[d] % kVector<T> != 0) return false;
    return aligned(p);
}

template <class F, class T, class Y>
void broadcast(const Op& op, const F& f, const Broadcast& s, const T* a, const T* b, Y* y) {
    const int64_t size = s.numel();
    if (size == 0) return;
    const auto run = [&](auto index, auto width) {
        using Index = decltype(index);
        constexpr int n = decltype(width)::value;
        launch(op, broadcast_kernel<F, T, Y, Index, n>, blocks_for(size / n, kElementwiseThreads), kElementwiseThreads,
               0, f, s, static_cast<Index>(size), a, b, y);
    };
    const auto run_by_size = [&](auto width) {  // 64-bit division is slow on a GPU
        size < (int64_t{1} << 31) ? run(uint32_t{}, width) : run(int64_t{}, width);
    };
    const bool vectors = s.shape[s.ndim - 1] % kVector<T> == 0 && aligned(y) && rows_in_vectors(s, s.stride_a, a) &&
                         rows_in_vectors(s, s.stride_b, b);
    if (vectors)
        run_by_size(std::integral_constant<int, kVector<T>>{});
    else
        run_by_size(std::integral_constant<int, 1>{});
}

// Of epilogue_gradient's column sums: dz is written on the way.
template <class T>
struct Epilogue {
    static constexpr int kLoadsAtOnce = 1;  // none may pass the store before it
    Activation act;
    const T *y, *dy;  // [rows,c]
    T* dz;            // [rows,c] or null

    template <int n>
    __device__ void operator()(int64_t at, int64_t count, bool wide, float (&v)[n]) const {
        load(dy + at, count, wide, v);
        if (act.kind != ActivationKind::none) {
            float output[n];
            load(y + at, count, wide, output);
#pragma unroll
            for (int i = 0; i < n; ++i) v[i] = activation_gradient(act, output[i], v[i]);
        }
        if (dz) store(dz + at, count, wide, v);
    }
};

}  // namespace

template <class T>
void unary(UnaryOp op, T slope, int64_t n, const T* x, T* y) {
    map({"unary", {n}}, Unary{op, static_cast<float>(slope)}, n, y, x);
}

template <class T>
void unary_gradient(UnaryOp op, T slope, int64_t n, const T* x, const T* y, const T* dy, T* dx) {
    map({"unary_gradient", {n}}, UnaryGradient{op, static_cast<float>(slope)}, n, dx, x, y, dy);
}

template <class T>
void binary(BinaryOp op, const Broadcast& s, const T* a, const T* b, T* y) {
    broadcast({"binary", {s.numel()}}, Binary{op}, s, a, b, y);
}

template <class T>
void compare(CompareOp op, const Broadcast& s, const T* a, const T* b, bool* y) {
    broadcast({"compare", {s.numel()}}, Compare{op}, s, a, b, y);
}

template <class T>
void epilogue_gradient(int64_t rows, int64_t c, Activation act, const T* y, const T* dy, T* dz, T* dbias) {
    const Op op{"epilogue_gradient", {rows, c}};
    if (!dbias) return map(op, ActivationGradient{act}, rows * c, dz, y, dy);
    reduce_columns(op, ReduceShape{1, rows, c}, Epilogue<T>{act, y, dy, dz}, in_vectors<T>(c, y, dy, dz), Add{}, dbias);
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(unary)
CK_CUDA_INSTANTIATE(unary_gradient)
CK_CUDA_INSTANTIATE(binary)
CK_CUDA_INSTANTIATE(compare)
CK_CUDA_INSTANTIATE(epilogue_gradient)
CK_CUDA_INSTANTIATE_INT64(binary)
CK_CUDA_INSTANTIATE_INT64(compare)
