#include "ops/backend.h"
#include "ops/ops.h"

namespace ck {

Tensor random_uniform(const Shape& shape, PhiloxKey key, double low, double high, DType dtype) {
    Tensor y = Tensor::empty("rand", shape, dtype, Device{});
    visit_floating("rand", dtype, [&](auto zero) {
        using T = decltype(zero);
        backend<T>(y.device()).random_uniform(y.numel(), key, static_cast<T>(low), static_cast<T>(high), y.data<T>());
    });
    return y;
}

Tensor random_normal(const Shape& shape, PhiloxKey key, double mean, double stddev, DType dtype) {
    Tensor y = Tensor::empty("randn", shape, dtype, Device{});
    visit_floating("randn", dtype, [&](auto zero) {
        using T = decltype(zero);
        backend<T>(y.device()).random_normal(y.numel(), key, static_cast<T>(mean), static_cast<T>(stddev), y.data<T>());
    });
    return y;
}

}  // namespace ck
