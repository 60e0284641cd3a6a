#include <numeric>
#include <utility>

#include "ops/backend.h"
#include "ops/ops.h"

namespace ck {
namespace {

// The permutation that exchanges `axis` and the last one; it is its own inverse.
std::vector<int64_t> exchange_last(int ndim, int64_t axis) {
    std::vector<int64_t> order(static_cast<size_t>(ndim));
    std::iota(order.begin(), order.end(), 0);
    std::swap(order[axis], order.back());
    return order;
}

int64_t checked_axis(const char* op, const Tensor& x, int64_t axis) {
    const int ndim = x.ndim();
    CK_CHECK(axis >= -ndim && axis < ndim, op, "axis must be in [", -ndim, ",", ndim, "). Received: axis=", axis,
             " for shape ", x.shape(), ".");
    return axis < 0 ? axis + ndim : axis;
}

const char* op_name(bool log) {
    return log ? "log_softmax" : "softmax";
}

}  // namespace

Tensor softmax(bool log, const Tensor& x, int64_t axis) {
    axis = checked_axis(op_name(log), x, axis);
    if (axis != x.ndim() - 1) {
        const std::vector<int64_t> order = exchange_last(x.ndim(), axis);
        return transpose(softmax(log, transpose(x, order), -1), order);
    }
    Tensor y = Tensor::empty(op_name(log), x.shape(), x.dtype(), x.device());
    visit_floating(op_name(log), x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const int64_t k = x.shape().back();
        if (x.numel()) backend<T>(x.device()).softmax(log, x.numel() / k, k, x.data<T>(), y.data<T>());
    });
    return y;
}

Tensor softmax_gradient(bool log, const Tensor& y, const Tensor& dy, int64_t axis) {
    axis = checked_axis(op_name(log), y, axis);
    check_shape(op_name(log), "the gradient", dy, y.shape());
    check_same_device(op_name(log), y, dy);
    check_same_dtype(op_name(log), y, dy);
    if (axis != y.ndim() - 1) {
        const std::vector<int64_t> order = exchange_last(y.ndim(), axis);
        return transpose(softmax_gradient(log, transpose(y, order), transpose(dy, order), -1), order);
    }
    Tensor dx = Tensor::empty(op_name(log), y.shape(), y.dtype(), y.device());
    visit_floating(op_name(log), y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const int64_t k = y.shape().back();
        if (y.numel())
            backend<T>(y.device()).softmax_gradient(log, y.numel() / k, k, y.data<T>(), dy.data<T>(), dx.data<T>());
    });
    return dx;
}

}  // namespace ck
