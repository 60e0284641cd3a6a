#include <cmath>

#include "cpu/reference/reference.h"

namespace ck::cpu::reference {

template <class T>
void softmax(bool log, int64_t rows, int64_t k, const T* x, T* y) {
    for (int64_t r = 0; r < rows; ++r, x += k, y += k) {
        T top = x[0];
        for (int64_t j = 1; j < k; ++j) top = x[j] > top ? x[j] : top;  // a NaN comes back through exp
        double sum = 0;
        for (int64_t j = 0; j < k; ++j) sum += std::exp(x[j] - top);
        for (int64_t j = 0; j < k; ++j) {
            y[j] = log ? x[j] - top - T(std::log(sum)) : std::exp(x[j] - top) / T(sum);
        }
    }
}

template <class T>
void softmax_gradient(bool log, int64_t rows, int64_t k, const T* y, const T* dy, T* dx) {
    for (int64_t r = 0; r < rows; ++r, y += k, dy += k, dx += k) {
        double sum = 0;
        for (int64_t j = 0; j < k; ++j) sum += log ? dy[j] : double(dy[j]) * y[j];
        for (int64_t j = 0; j < k; ++j) dx[j] = log ? dy[j] - std::exp(y[j]) * T(sum) : y[j] * (dy[j] - T(sum));
    }
}

}  // namespace ck::cpu::reference

CK_INSTANTIATE(softmax)
CK_INSTANTIATE(softmax_gradient)
