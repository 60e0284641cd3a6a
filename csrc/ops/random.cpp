#include "ops/backend.h"
#include "ops/ops.h"

namespace ck {
namespace {

// float64 has kernels on the CPU alone: drawn there, also for a device.
Device drawn_on(DType dtype, Device device) {
    return dtype == DType::float64 ? Device{} : device;
}

}  // namespace

Tensor random_uniform(const Shape& shape, PhiloxKey key, double low, double high, DType dtype, Device device) {
    Tensor y = Tensor::empty("rand", shape, dtype, drawn_on(dtype, device));
    visit_floating("rand", dtype, [&](auto zero) {
        using T = decltype(zero);
        backend<T>(y.device()).random_uniform(y.numel(), key, static_cast<T>(low), static_cast<T>(high), y.data<T>());
    });
    return to_device(y, device);
}

Tensor random_normal(const Shape& shape, PhiloxKey key, double mean, double stddev, DType dtype, Device device) {
    Tensor y = Tensor::empty("randn", shape, dtype, drawn_on(dtype, device));
    visit_floating("randn", dtype, [&](auto zero) {
        using T = decltype(zero);
        backend<T>(y.device()).random_normal(y.numel(), key, static_cast<T>(mean), static_cast<T>(stddev), y.data<T>());
    });
    return to_device(y, device);
}

}  // namespace ck
