#include "ops/backend.h"
#include "ops/ops.h"

namespace ck {
namespace {

constexpr const char* kOp = "upsample";

}  // namespace

ResizeMode parse_resize_mode(const std::string& name) {
    if (name == "nearest") return ResizeMode::nearest;
    if (name == "bilinear") return ResizeMode::bilinear;
    throw ValueError(concat("[", kOp, "] mode must be 'nearest' or 'bilinear'. Received: '", name, "'."));
}

Tensor upsample(const Tensor& x, const std::array<int64_t, 2>& scale, ResizeMode mode) {
    CK_CHECK(x.ndim() == 4, kOp, "x must have shape [N,H,W,C]. Received: ", x.shape(), ".");
    constexpr int64_t kLimit = int64_t{1} << 31;  // with sizes below it no product overflows
    CK_CHECK(scale[0] >= 1 && scale[1] >= 1 && scale[0] < kLimit && scale[1] < kLimit && x.size(1) < kLimit &&
                 x.size(2) < kLimit,
             kOp, "scale must be at least 1 and, as H and W, below 2^31. Received: scale=(", scale[0], ",", scale[1],
             "), x ", x.shape(), ".");
    const Resize2dShape s{x.size(0), x.size(1), x.size(2), x.size(3), x.size(1) * scale[0], x.size(2) * scale[1]};
    Tensor y = Tensor::empty(kOp, {s.n, s.p, s.q, s.c}, x.dtype(), x.device());
    visit_floating(kOp, x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        if (y.numel()) backend<T>(x.device()).upsample(s, mode, x.data<T>(), y.data<T>());
    });
    return y;
}

Tensor upsample_gradient(const Shape& x_shape, const Tensor& dy, ResizeMode mode) {
    CK_CHECK(dy.ndim() == 4 && x_shape.size() == 4, kOp,
             "the gradient must have shape [N,P,Q,C]. Received: ", dy.shape(), " for x ", x_shape, ".");
    const Resize2dShape s{x_shape[0], x_shape[1], x_shape[2], x_shape[3], dy.size(1), dy.size(2)};
    check_shape(kOp, "the gradient", dy, {s.n, s.p, s.q, s.c});
    Tensor dx = Tensor::empty(kOp, x_shape, dy.dtype(), dy.device());
    visit_floating(kOp, dy.dtype(), [&](auto zero) {
        using T = decltype(zero);
        if (dx.numel()) backend<T>(dy.device()).upsample_gradient(s, mode, dy.data<T>(), dx.data<T>());
    });
    return dx;
}

}  // namespace ck
