// Losses. A sum or mean takes two launches: every block leaves the sum of its rows, one block adds those in their
// order.
#include "core/scalar.h"
#include "cuda/backend.h"
#include "cuda/element.h"
#include "cuda/launch.h"
#include "cuda/rows.h"

namespace ck::cuda {
namespace {

// y[0] = the sum of totals[n] / (the sum of weights[n], or `divisor` when that is null). One block.
template <class T>
__global__ void __launch_bounds__(kElementwiseThreads)
    finish_kernel(int64_t n, const float* totals, const float* weights, float divisor, T* y) {
    float total = 0, weight = 0;
    for (int64_t i = threadIdx.x; i < n; i += kElementwiseThreads) {
        total += totals[i];
        if (weights) weight += weights[i];
    }
    total = reduce_block(total, Add{});
    weight = reduce_block(weight, Add{});
    if (threadIdx.x == 0) y[0] = from_float<T>(total / (weights ? weight : divisor));
}

// The targets of one row: t_j = weight_j ((1 - smoothing) p_j + smoothing / k), where a label means p_label = 1.
template <class T>
struct Targets {
    float kept, spread;      // 1 - smoothing, smoothing / k
    const int64_t* labels;   // [rows] or null
    const T* probabilities;  // [rows,k] or null
    const T* weight;         // [k] or null
    int64_t k;

    // Labels are not checked at the door, which would wait for the device: one out of range makes its row's loss NaN.
    __device__ bool bad_label(int64_t row) const { return labels[row] < 0 || labels[row] >= k; }
    __device__ float label_weight(int64_t row) const { return bad_label(row) ? NAN : to_float(weight[labels[row]]); }
    __device__ float operator()(int64_t row, int64_t j) const {
        if (labels && bad_label(row)) return NAN;
        const float share = labels ? static_cast<float>(labels[row] == j) : to_float(probabilities[row * k + j]);
        return (kept * share + spread) * (weight ? to_float(weight[j]) : 1.0f);
    }
};

template <class T>
Targets<T> targets_of(const CrossEntropyShape& s, const int64_t* labels, const T* probabilities, const T* weight) {
    return {static_cast<float>(1 - s.label_smoothing),
            static_cast<float>(s.label_smoothing / static_cast<double>(s.k)),
            labels,
            probabilities,
            weight,
            s.k};
}

// The largest logit of a row and the sum of exp(x - top): what softmax is made of.
struct RowSoftmax {
    float top, sum;
};
template <class T>
__device__ RowSoftmax row_softmax(RowLanes lanes, int64_t size, const T* x /*[size]*/) {
    float top = Max::start<float>(), sum = 0;
    for (int64_t j = lanes.lane(); j < size; j += lanes.lanes) top = Max{}(top, to_float(x[j]));
    top = lanes.reduce(top, Max{});
    for (int64_t j = lanes.lane(); j < size; j += lanes.lanes) sum += expf(to_float(x[j]) - top);
    return {top, lanes.reduce(sum, Add{})};
}

// The loss of a row is sum_j t_j (log sum_i exp(x_i) - x_j): into y[rows] unless that is null, else summed into
// totals[grid], beside the labels' weights.
template <class T>
__global__ void __launch_bounds__(kElementwiseThreads)
    cross_entropy_kernel(RowLanes lanes, int64_t rows, Targets<T> targets, const T* x /*[rows,k]*/, T* y /*[rows]*/,
                         float* totals /*[grid]*/, float* weights /*[grid] or null*/) {
    float total = 0, weight = 0;
    for (int64_t first = lanes.first_row(); first < rows; first += lanes.row_step()) {
        const int64_t row = first + lanes.row(), size = row < rows ? targets.k : 0;
        const T* logits = x + row * targets.k;
        const RowSoftmax softmax = row_softmax(lanes, size, logits);
        const float log_sum = logf(softmax.sum);
        float loss = 0;
        for (int64_t j = lanes.lane(); j < size; j += lanes.lanes) {
            const float target = targets(row, j);
            // An absent class adds nothing, even with a logit of -inf.
            if (target != 0) loss += target * (log_sum - (to_float(logits[j]) - softmax.top));
        }
        loss = lanes.reduce(loss, Add{});
        if (row < rows && lanes.lane() == 0) {
            if (y) y[row] = from_float<T>(loss);
            total += loss;
            if (weights) weight += targets.label_weight(row);
        }
    }
    if (y) return;
    total = reduce_block(total, Add{});
    weight = reduce_block(weight, Add{});
    if (threadIdx.x == 0) {
        totals[blockIdx.x] = total;
        if (weights) weights[blockIdx.x] = weight;
    }
}

// The sum of weight[labels[row]], block by block.
template <class T>
__global__ void __launch_bounds__(kElementwiseThreads)
    label_weights_kernel(int64_t rows, Targets<T> targets, float* weights /*[grid]*/) {
    float sum = 0;
    for (int64_t i = first_index(); i < rows; i += index_step()) sum += targets.label_weight(i);
    sum = reduce_block(sum, Add{});
    if (threadIdx.x == 0) weights[blockIdx.x] = sum;
}

// dy has one element a row when dy_step is 1, one in all when it is 0. The loss was divided by divisor[0], or by
// `rows_divisor` when that is null.
template <class T>
__global__ void __launch_bounds__(kElementwiseThreads)
    cross_entropy_gradient_kernel(RowLanes lanes, int64_t rows, Targets<T> targets, const T* x /*[rows,k]*/,
                                  const T* dy, int64_t dy_step, const float* divisor, float rows_divisor,
                                  T* dx /*[rows,k]*/) {
    const float scale = 1 / (divisor ? divisor[0] : rows_divisor);
    for (int64_t first = lanes.first_row(); first < rows; first += lanes.row_step()) {
        const int64_t row = first + lanes.row(), size = row < rows ? targets.k : 0, at = row * targets.k;
        const RowSoftmax softmax = row_softmax(lanes, size, x + at);
        float mass = 0;
        for (int64_t j = lanes.lane(); j < size; j += lanes.lanes) mass += targets(row, j);
        mass = lanes.reduce(mass, Add{});
        const float g = row < rows ? to_float(dy[row * dy_step]) * scale : 0.0f;
        for (int64_t j = lanes.lane(); j < size; j += lanes.lanes) {
            const float share = expf(to_float(x[at + j]) - softmax.top) / softmax.sum;
            dx[at + j] = from_float<T>(g * (mass * share - targets(row, j)));
        }
    }
}

struct PointwiseLossFunction {
    PointwiseLoss kind;
    float beta;

    __device__ float value(float x, float target) const { return pointwise_loss_value(kind, beta, x, target); }
    __device__ float slope(float x, float target) const { return pointwise_loss_slope(kind, beta, x, target); }
};

// n neighbours of a factor that is 1 when p is null.
template <int n, class T>
__device__ __forceinline__ void load_factor(const T* p, int64_t at, int64_t count, bool wide, float (&v)[n]) {
    if (p) return load(p + at, count, wide, v);
#pragma unroll
    for (int i = 0; i < n; ++i) v[i] = 1;
}

// Into y[n] unless that is null, else summed into totals[grid].
template <class T>
__global__ void __launch_bounds__(kElementwiseThreads)
    pointwise_loss_kernel(PointwiseLossFunction f, int64_t n, const T* x /*[n]*/, const T* target /*[n]*/,
                          const T* weight /*[n] or null*/, bool wide, T* y, float* totals) {
    constexpr int kN = kVector<T>;
    float total = 0;
    for (int64_t i = first_index() * kN; i < n; i += index_step() * kN) {
        float u[kN], t[kN], w[kN], loss[kN];
        load(x + i, n - i, wide, u);
        load(target + i, n - i, wide, t);
        load_factor(weight, i, n - i, wide, w);
#pragma unroll
        for (int j = 0; j < kN; ++j) loss[j] = f.value(u[j], t[j]) * w[j];
        if (y) {
            store(y + i, n - i, wide, loss);
        } else {
#pragma unroll
            for (int j = 0; j < kN; ++j) total += i + j < n ? loss[j] : 0.0f;
        }
    }
    if (y) return;
    total = reduce_block(total, Add{});
    if (threadIdx.x == 0) totals[blockIdx.x] = total;
}

// dy has n elements, or one when that is what `single` says; it is divided by `divisor`.
template <class T>
__global__ void __launch_bounds__(kElementwiseThreads)
    pointwise_loss_gradient_kernel(PointwiseLossFunction f, int64_t n, const T* x /*[n]*/, const T* target /*[n]*/,
                                   const T* weight /*[n] or null*/, const T* dy, bool single, float divisor, bool wide,
                                   T* dx /*[n]*/) {
    constexpr int kN = kVector<T>;
    for (int64_t i = first_index() * kN; i < n; i += index_step() * kN) {
        float u[kN], t[kN], w[kN], g[kN];
        load(x + i, n - i, wide, u);
        load(target + i, n - i, wide, t);
        load_factor(weight, i, n - i, wide, w);
        load_factor(single ? nullptr : dy, i, n - i, wide, g);
        const float common = single ? to_float(dy[0]) / divisor : 1.0f;
#pragma unroll
        for (int j = 0; j < kN; ++j) g[j] *= f.slope(u[j], t[j]) * w[j] * common;
        store(dx + i, n - i, wide, g);
    }
}

float divisor_of(Reduction reduction, int64_t count) {
    return reduction == Reduction::mean ? static_cast<float>(count) : 1.0f;
}

}  // namespace

template <class T>
void cross_entropy(const CrossEntropyShape& s, const T* x, const int64_t* labels, const T* probabilities,
                   const T* weight, T* y) {
    const Op op{"cross_entropy", {s.rows, s.k}};
    const Targets<T> targets = targets_of(s, labels, probabilities, weight);
    const RowLanes lanes = row_lanes(s.k);
    const dim3 grid = blocks_for(s.rows, kElementwiseThreads / lanes.lanes);
    if (s.reduction == Reduction::none) {
        if (s.rows == 0) return;
        return launch(op, cross_entropy_kernel<T>, grid, kElementwiseThreads, 0, lanes, s.rows, targets, x, y, nullptr,
                      nullptr);
    }
    const bool weighted = s.reduction == Reduction::mean && labels && weight;
    const Scratch<float> sums(op, 2 * grid.x);
    float* weights = weighted ? sums.data() + grid.x : nullptr;
    launch(op, cross_entropy_kernel<T>, grid, kElementwiseThreads, 0, lanes, s.rows, targets, x, nullptr, sums.data(),
           weights);
    launch(op, finish_kernel<T>, 1, kElementwiseThreads, 0, grid.x, sums.data(), weights,
           divisor_of(s.reduction, s.rows), y);
}

template <class T>
void cross_entropy_gradient(const CrossEntropyShape& s, const T* x, const int64_t* labels, const T* probabilities,
                            const T* weight, const T* dy, T* dx) {
    if (s.rows * s.k == 0) return;
    const Op op{"cross_entropy_gradient", {s.rows, s.k}};
    const bool weighted = s.reduction == Reduction::mean && labels && weight;
    const dim3 weight_grid = blocks_for(s.rows, kElementwiseThreads);
    const Scratch<float> sums(op, weighted ? 1 + weight_grid.x : 0);
    if (weighted) {
        launch(op, label_weights_kernel<T>, weight_grid, kElementwiseThreads, 0, s.rows,
               targets_of(s, labels, probabilities, weight), sums.data() + 1);
        launch(op, finish_kernel<float>, 1, kElementwiseThreads, 0, weight_grid.x, sums.data() + 1, nullptr, 1.0f,
               sums.data());
    }
    const RowLanes lanes = row_lanes(s.k);
    launch(op, cross_entropy_gradient_kernel<T>, blocks_for(s.rows, kElementwiseThreads / lanes.lanes),
           kElementwiseThreads, 0, lanes, s.rows, targets_of(s, labels, probabilities, weight), x, dy,
           s.reduction == Reduction::none ? 1 : 0, weighted ? sums.data() : nullptr, divisor_of(s.reduction, s.rows),
           dx);
}

template <class T>
void pointwise_loss(const PointwiseLossShape& s, const T* x, const T* target, const T* weight, T* y) {
    const Op op{"pointwise_loss", {s.n}};
    const PointwiseLossFunction f{s.kind, static_cast<float>(s.beta)};
    const dim3 grid = blocks_for(ceil_div(s.n, kVector<T>), kElementwiseThreads);
    if (s.reduction == Reduction::none) {
        if (s.n == 0) return;
        return launch(op, pointwise_loss_kernel<T>, grid, kElementwiseThreads, 0, f, s.n, x, target, weight,
                      aligned(x, target, weight, y), y, nullptr);
    }
    const Scratch<float> totals(op, grid.x);
    launch(op, pointwise_loss_kernel<T>, grid, kElementwiseThreads, 0, f, s.n, x, target, weight,
           aligned(x, target, weight), nullptr, totals.data());
    launch(op, finish_kernel<T>, 1, kElementwiseThreads, 0, grid.x, totals.data(), nullptr,
           divisor_of(s.reduction, s.n), y);
}

template <class T>
void pointwise_loss_gradient(const PointwiseLossShape& s, const T* x, const T* target, const T* weight, const T* dy,
                             T* dx) {
    if (s.n == 0) return;
    const bool single = s.reduction != Reduction::none;
    launch({"pointwise_loss_gradient", {s.n}}, pointwise_loss_gradient_kernel<T>,
           blocks_for(ceil_div(s.n, kVector<T>), kElementwiseThreads), kElementwiseThreads, 0,
           PointwiseLossFunction{s.kind, static_cast<float>(s.beta)}, s.n, x, target, weight, dy, single,
           divisor_of(s.reduction, s.n), aligned(x, target, weight, single ? nullptr : dy, dx), dx);
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(cross_entropy)
CK_CUDA_INSTANTIATE(cross_entropy_gradient)
CK_CUDA_INSTANTIATE(pointwise_loss)
CK_CUDA_INSTANTIATE(pointwise_loss_gradient)
