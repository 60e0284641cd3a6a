// Drivers of batch normalisation.
#include "cpu/backend.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {

void batch_norm_statistics(int64_t rows, int64_t c, double momentum, const float* x, float* mean, float* variance,
                           float* running_mean, float* running_var) {
    reference::batch_norm_statistics(rows, c, momentum, x, mean, variance, running_mean, running_var);
}

void batch_norm(const BatchNormShape& s, const float* x, const float* mean, const float* variance, const float* weight,
                const float* bias, const float* residual, float* y) {
    reference::batch_norm(s, x, mean, variance, weight, bias, residual, y);
}

void batch_norm_gradient(const BatchNormShape& s, const float* x, const float* mean, const float* variance,
                         const float* weight, const float* bias, const float* y, const float* dy, float* dx,
                         float* dweight, float* dbias, float* dz) {
    reference::batch_norm_gradient(s, x, mean, variance, weight, bias, y, dy, dx, dweight, dbias, dz);
}

}  // namespace ck::cpu
