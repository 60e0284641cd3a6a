#include <cmath>

#include "core/scalar.h"
#include "cpu/reference/reference.h"

namespace ck::cpu::reference {

template <class T>
void batch_norm_statistics(int64_t rows, int64_t c, double momentum, const T* x, Param<T>* mean, Param<T>* variance,
                           Param<T>* running_mean, Param<T>* running_var) {
    for (int64_t j = 0; j < c; ++j) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < rows; ++i) sum += x[i * c + j];
        const double centre = sum / double(rows);
        for (int64_t i = 0; i < rows; ++i) squares += (x[i * c + j] - centre) * (x[i * c + j] - centre);
        mean[j] = T(centre);
        variance[j] = T(squares / double(rows));
        if (!running_mean) continue;
        running_mean[j] = T((1 - momentum) * running_mean[j] + momentum * centre);
        running_var[j] = T((1 - momentum) * running_var[j] + momentum * squares / double(rows - 1));
    }
}

template <class T>
void batch_norm(const BatchNormShape& s, const T* x, const Param<T>* mean, const Param<T>* variance,
                const Param<T>* weight, const Param<T>* bias, const T* residual, T* y) {
    for (int64_t i = 0; i < s.rows; ++i) {
        for (int64_t j = 0; j < s.c; ++j) {
            const int64_t at = i * s.c + j;
            const T scale = T((weight ? weight[j] : 1.0) / std::sqrt(double(variance[j]) + s.eps));
            const T z = (x[at] - mean[j]) * scale + (bias ? bias[j] : T(0)) + (residual ? residual[at] : T(0));
            y[at] = activate<T>(s.activation, z);
        }
    }
}

// With g = dL/dz and n = (x - mean) r, r = 1 / sqrt(variance + eps): dweight = sum g n, dbias = sum g,
// dx = weight r (g - mean(g) - n mean(g n)), without the means when the statistics are constants.
template <class T>
void batch_norm_gradient(const BatchNormShape& s, const T* x, const Param<T>* mean, const Param<T>* variance,
                         const Param<T>* weight, const Param<T>* /*bias: y holds what the activation needs*/,
                         const T* y, const T* dy, T* dx, Param<T>* dweight, Param<T>* dbias, T* dz) {
    const auto gradient = [&](int64_t at) { return y ? activation_gradient<T>(s.activation, y[at], dy[at]) : dy[at]; };
    for (int64_t j = 0; j < s.c; ++j) {
        const double r = 1 / std::sqrt(double(variance[j]) + s.eps);
        double sum = 0, product = 0;
        for (int64_t at = j; at < s.rows * s.c; at += s.c) {
            const double g = gradient(at);
            sum += g;
            product += g * (x[at] - mean[j]) * r;
        }
        dbias[j] = T(sum);
        dweight[j] = T(product);
        const double scale = (weight ? weight[j] : 1.0) * r, count = double(s.rows);
        for (int64_t at = j; at < s.rows * s.c; at += s.c) {
            const double g = gradient(at);
            const double n = (x[at] - mean[j]) * r;
            if (dz) dz[at] = T(g);
            dx[at] = T(scale * (s.training ? g - sum / count - n * (product / count) : g));
        }
    }
}

}  // namespace ck::cpu::reference

CK_INSTANTIATE(batch_norm_statistics)
CK_INSTANTIATE(batch_norm)
CK_INSTANTIATE(batch_norm_gradient)
