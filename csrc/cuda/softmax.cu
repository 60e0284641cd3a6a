// Softmax over rows. The threads of a row read it three times, twice from the cache.
#include "cuda/backend.h"
#include "cuda/element.h"
#include "cuda/launch.h"
#include "cuda/rows.h"

namespace ck::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kElementwiseThreads)
    softmax_kernel(bool log, RowLanes lanes, int64_t rows, int64_t k, const T* x /*[rows,k]*/, T* y /*[rows,k]*/) {
    for (int64_t first = lanes.first_row(); first < rows; first += lanes.row_step()) {
        const int64_t row = first + lanes.row(), size = row < rows ? k : 0, at = row * k;
        float top = Max::start<float>(), sum = 0;
        for (int64_t j = lanes.lane(); j < size; j += lanes.lanes) top = Max{}(top, to_float(x[at + j]));
        top = lanes.reduce(top, Max{});
        for (int64_t j = lanes.lane(); j < size; j += lanes.lanes) sum += expf(to_float(x[at + j]) - top);
        sum = lanes.reduce(sum, Add{});
        const float log_sum = logf(sum);
        for (int64_t j = lanes.lane(); j < size; j += lanes.lanes) {
            const float below = to_float(x[at + j]) - top;
            y[at + j] = from_float<T>(log ? below - log_sum : expf(below) / sum);
        }
    }
}

template <class T>
__global__ void __launch_bounds__(kElementwiseThreads)
    softmax_gradient_kernel(bool log, RowLanes lanes, int64_t rows, int64_t k, const T* y /*[rows,k]*/,
                            const T* dy /*[rows,k]*/, T* dx /*[rows,k]*/) {
    for (int64_t first = lanes.first_row(); first < rows; first += lanes.row_step()) {
        const int64_t row = first + lanes.row(), size = row < rows ? k : 0, at = row * k;
        float sum = 0;
        for (int64_t j = lanes.lane(); j < size; j += lanes.lanes) {
            const float g = to_float(dy[at + j]);
            sum += log ? g : g * to_float(y[at + j]);
        }
        sum = lanes.reduce(sum, Add{});
        for (int64_t j = lanes.lane(); j < size; j += lanes.lanes) {
            const float value = to_float(y[at + j]), g = to_float(dy[at + j]);
            dx[at + j] = from_float<T>(log ? g - expf(value) * sum : value * (g - sum));
        }
    }
}

}  // namespace

template <class T>
void softmax(bool log, int64_t rows, int64_t k, const T* x, T* y) {
    if (rows * k == 0) return;
    const RowLanes lanes = row_lanes(k);
    launch({"softmax", {rows, k}}, softmax_kernel<T>, blocks_for(rows, kElementwiseThreads / lanes.lanes),
           kElementwiseThreads, 0, log, lanes, rows, k, x, y);
}

template <class T>
void softmax_gradient(bool log, int64_t rows, int64_t k, const T* y, const T* dy, T* dx) {
    if (rows * k == 0) return;
    const RowLanes lanes = row_lanes(k);
    launch({"softmax_gradient", {rows, k}}, softmax_gradient_kernel<T>,
           blocks_for(rows, kElementwiseThreads / lanes.lanes), kElementwiseThreads, 0, log, lanes, rows, k, y, dy, dx);
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(softmax)
CK_CUDA_INSTANTIATE(softmax_gradient)
