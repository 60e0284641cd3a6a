#include <algorithm>

#include "ops/backend.h"
#include "ops/ops.h"

namespace ck {
namespace {

// Sorted, distinct axes in [0,ndim).
std::vector<int64_t> normalise(const char* op, const std::vector<int64_t>& axes, int ndim, const Shape& shape) {
    std::vector<int64_t> result(axes);
    for (int64_t& axis : result) {
        CK_CHECK(axis >= -ndim && axis < ndim, op, "axis must be in [", -ndim, ",", ndim, "). Received: axis=", axis,
                 " for shape ", shape, ".");
        axis += axis < 0 ? ndim : 0;
    }
    std::sort(result.begin(), result.end());
    CK_CHECK(std::adjacent_find(result.begin(), result.end()) == result.end(), op,
             "axes must be distinct. Received: axis=", axes, ".");
    return result;
}

// The canonical form [outer,len,inner] of a reduction; axes that are not neighbours are moved to the end first.
struct Canonical {
    Tensor x;
    ReduceShape s;
    Shape kept;                  // output shape without the reduced axes
    Shape keepdims;              // with them as 1
    std::vector<int64_t> moved;  // the transposition, empty when none was needed
};

Canonical canonical(const char* op, const Tensor& x, const std::vector<int64_t>& requested) {
    const std::vector<int64_t> axes = normalise(op, requested, x.ndim(), x.shape());
    Canonical result{x, {1, 1, 1}, {}, x.shape(), {}};
    for (int64_t axis : axes) result.keepdims[axis] = 1;
    std::vector<int64_t> order;
    for (int64_t axis = 0; axis < x.ndim(); ++axis) {
        if (std::binary_search(axes.begin(), axes.end(), axis)) continue;
        result.kept.push_back(x.size(static_cast<int>(axis)));
        order.push_back(axis);
    }
    for (int64_t axis : axes) result.s.len *= x.size(static_cast<int>(axis));
    const bool neighbours = axes.empty() || axes.back() - axes.front() + 1 == static_cast<int64_t>(axes.size());
    const int64_t first = neighbours && !axes.empty() ? axes.front() : x.ndim();
    for (size_t i = 0; i < result.kept.size(); ++i) {
        (static_cast<int64_t>(i) < first ? result.s.outer : result.s.inner) *= result.kept[i];
    }
    if (!neighbours) {
        order.insert(order.end(), axes.begin(), axes.end());
        result.x = transpose(x, order);
        result.moved = order;
    }
    return result;
}

}  // namespace

Tensor reduce(ReduceOp op, const Tensor& x, const std::vector<int64_t>& axes, bool keepdims) {
    const char* op_name = op == ReduceOp::sum ? "sum" : "max";
    if (x.dtype() == DType::uint8 || x.dtype() == DType::boolean) {  // sums count in int64, as numpy's
        const Tensor y = reduce(op, cast(x, DType::int64), axes, keepdims);
        return op == ReduceOp::sum ? y : cast(y, x.dtype());
    }
    const Canonical c = canonical(op_name, x, axes);
    CK_CHECK(op == ReduceOp::sum || c.s.len > 0 || c.s.outer * c.s.inner == 0, op_name,
             "the maximum of no elements is not defined. Received: shape ", x.shape(), ", axis=", axes, ".");
    Tensor y = Tensor::empty(op_name, keepdims ? c.keepdims : c.kept, x.dtype(), x.device());
    visit_numbers(op_name, x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device()).reduce(op, c.s, c.x.template data<T>(), y.data<T>());
    });
    return y;
}

Tensor argmax(const Tensor& x, const std::vector<int64_t>& axes, bool keepdims) {
    if (x.dtype() == DType::uint8 || x.dtype() == DType::boolean) return argmax(cast(x, DType::int64), axes, keepdims);
    const Canonical c = canonical("argmax", x, axes);
    CK_CHECK(c.s.len > 0 || c.s.outer * c.s.inner == 0, "argmax",
             "the maximum of no elements is not defined. Received: shape ", x.shape(), ", axis=", axes, ".");
    Tensor y = Tensor::empty("argmax", keepdims ? c.keepdims : c.kept, DType::int64, x.device());
    visit_numbers("argmax", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device()).argmax(c.s, c.x.template data<T>(), y.data<int64_t>());
    });
    return y;
}

Tensor max_gradient(const Tensor& x, const Tensor& dy, const std::vector<int64_t>& axes) {
    const Canonical c = canonical("max", x, axes);
    check_same_device("max", x, dy);
    check_same_dtype("max", x, dy);
    CK_CHECK(dy.numel() == c.s.outer * c.s.inner, "max",
             "the gradient must have one value per maximum. Received: ", dy.shape(), ".");
    const Tensor index = Tensor::empty("max", c.kept, DType::int64, x.device());
    Tensor dx = Tensor::empty("max", c.x.shape(), x.dtype(), x.device());
    visit_floating("max", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device()).argmax(c.s, c.x.template data<T>(), index.data<int64_t>());
        backend<T>(x.device()).scatter_to_index(c.s, index.data<int64_t>(), dy.data<T>(), dx.data<T>());
    });
    if (c.moved.empty()) return dx;
    std::vector<int64_t> inverse(c.moved.size());
    for (size_t i = 0; i < inverse.size(); ++i) inverse[c.moved[i]] = static_cast<int64_t>(i);
    return transpose(dx, inverse);
}

Tensor sum_to_shape(const Tensor& x, const Shape& shape) {
    if (x.shape() == shape) return x;
    std::vector<int64_t> axes;
    const size_t lead = x.shape().size() - shape.size();
    for (size_t i = 0; i < x.shape().size(); ++i) {
        if (i < lead || (shape[i - lead] == 1 && x.shape()[i] != 1)) axes.push_back(static_cast<int64_t>(i));
    }
    if (axes.empty()) return x.reshape(shape);
    return reduce(ReduceOp::sum, x, axes, false).reshape(shape);
}

}  // namespace ck
