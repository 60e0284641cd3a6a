#include <algorithm>
#include <cmath>

#include "ops/backend.h"
#include "ops/ops.h"

namespace ck {
namespace {

const char* op_name(UnaryOp op) {
    constexpr const char* kNames[] = {"neg",  "exp",   "log",        "sqrt", "abs",
                                      "relu", "relu6", "leaky_relu", "tanh", "sigmoid"};
    return kNames[static_cast<int>(op)];
}
const char* op_name(BinaryOp op) {
    constexpr const char* kNames[] = {"add", "subtract", "multiply", "divide", "power"};
    return kNames[static_cast<int>(op)];
}

Shape broadcast_shape(const char* op, const Shape& a, const Shape& b) {
    Shape result(std::max(a.size(), b.size()));
    for (size_t i = 0; i < result.size(); ++i) {  // from the last axis
        const int64_t size_a = i < a.size() ? a[a.size() - 1 - i] : 1;
        const int64_t size_b = i < b.size() ? b[b.size() - 1 - i] : 1;
        CK_CHECK(size_a == size_b || size_a == 1 || size_b == 1, op,
                 "shapes must broadcast: equal from the last axis, or 1. Received: ", a, " and ", b, ".");
        result[result.size() - 1 - i] = size_a == 1 ? size_b : size_a;
    }
    return result;
}

// Strides of `shape` seen as `target` (0 where repeated), innermost last.
void broadcast_strides(const Shape& shape, const Shape& target, int64_t* strides) {
    int64_t stride = 1;
    const size_t lead = target.size() - shape.size();
    for (size_t i = target.size(); i-- > 0;) {
        strides[i] = i < lead || shape[i - lead] == 1 ? 0 : stride;
        if (i >= lead) stride *= shape[i - lead];
    }
}

// Merges neighbouring axes that one stride per operand can walk, so that most problems become one long row.
Broadcast make_broadcast(const Tensor& a, const Tensor& b, const Shape& target) {
    int64_t stride_a[kMaxDims], stride_b[kMaxDims];
    broadcast_strides(a.shape(), target, stride_a);
    broadcast_strides(b.shape(), target, stride_b);
    Broadcast s{};
    for (size_t i = 0; i < target.size(); ++i) {
        if (target[i] == 1) continue;
        const int last = s.ndim - 1;
        if (last >= 0 && s.stride_a[last] == stride_a[i] * target[i] && s.stride_b[last] == stride_b[i] * target[i]) {
            s.shape[last] *= target[i];
            s.stride_a[last] = stride_a[i];
            s.stride_b[last] = stride_b[i];
        } else {
            s.shape[s.ndim] = target[i];
            s.stride_a[s.ndim] = stride_a[i];
            s.stride_b[s.ndim] = stride_b[i];
            ++s.ndim;
        }
    }
    if (s.ndim == 0) {
        s.ndim = 1;
        s.shape[0] = 1;
    }
    return s;
}

}  // namespace

Activation parse_activation(const char* op, const std::string& name) {
    if (name.empty() || name == "none") return {};
    if (name == "relu") return {ActivationKind::relu};
    if (name == "relu6") return {ActivationKind::relu6};
    if (name == "leaky_relu") return {ActivationKind::leaky_relu};
    if (name == "tanh") return {ActivationKind::tanh};
    if (name == "sigmoid") return {ActivationKind::sigmoid};
    throw ValueError(concat("[", op, "] activation must be None, 'relu', 'relu6', 'leaky_relu', 'tanh' or 'sigmoid'. ",
                            "Received: '", name, "'."));
}

Tensor unary(UnaryOp op, const Tensor& x, double slope) {
    Tensor y = Tensor::empty(op_name(op), x.shape(), x.dtype(), x.device());
    visit_floating(op_name(op), x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device()).unary(op, T(slope), x.numel(), x.data<T>(), y.data<T>());
    });
    return y;
}

Tensor unary_gradient(UnaryOp op, const Tensor& x, const Tensor& y, const Tensor& dy, double slope) {
    for (const Tensor* t : {&y, &dy}) {
        check_shape(op_name(op), t == &y ? "y" : "the gradient", *t, x.shape());
        check_same_device(op_name(op), x, *t);
        check_same_dtype(op_name(op), x, *t);
    }
    Tensor dx = Tensor::empty(op_name(op), x.shape(), x.dtype(), x.device());
    visit_floating(op_name(op), x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device())
            .unary_gradient(op, T(slope), x.numel(), x.data<T>(), y.data<T>(), dy.data<T>(), dx.data<T>());
    });
    return dx;
}

Tensor binary(BinaryOp op, const Tensor& a, const Tensor& b) {
    check_same_device(op_name(op), a, b);
    check_same_dtype(op_name(op), a, b);
    const Shape shape = broadcast_shape(op_name(op), a.shape(), b.shape());
    CK_CHECK_TYPE(a.dtype() != DType::int64 || (op != BinaryOp::divide && op != BinaryOp::power), op_name(op),
                  "needs float32 or float64. Received: int64.");
    Tensor y = Tensor::empty(op_name(op), shape, a.dtype(), a.device());
    const Broadcast s = make_broadcast(a, b, shape);
    visit_numbers(op_name(op), a.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(a.device()).binary(op, s, a.data<T>(), b.data<T>(), y.data<T>());
    });
    return y;
}

Tensor compare(CompareOp op, const Tensor& a, const Tensor& b) {
    check_same_device("compare", a, b);
    const Shape shape = broadcast_shape("compare", a.shape(), b.shape());
    if (a.dtype() != b.dtype() || a.dtype() == DType::uint8 || a.dtype() == DType::boolean) {
        // Mixed dtypes and small integers compare in a type that holds both: int64 beyond 2^53 is rounded, as in numpy.
        const auto is_float = [](DType dtype) {
            return dtype == DType::float32 || dtype == DType::float64 || dtype == DType::bfloat16;
        };
        const bool floating = is_float(a.dtype()) || is_float(b.dtype());
        const DType common = floating ? DType::float64 : DType::int64;
        return compare(op, cast(a, common), cast(b, common));
    }
    if (!a.device().is_cpu() && a.dtype() == DType::float64)  // has kernels on the CPU alone
        return to_device(compare(op, to_device(a, {}), to_device(b, {})), a.device());
    Tensor y = Tensor::empty("compare", shape, DType::boolean, a.device());
    const Broadcast s = make_broadcast(a, b, shape);
    visit_numbers("compare", a.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(a.device()).compare(op, s, a.data<T>(), b.data<T>(), y.data<bool>());
    });
    return y;
}

std::pair<Tensor, Tensor> epilogue_gradient(Activation act, const Tensor& y, const Tensor& dy, bool bias_wanted) {
    check_shape("epilogue_gradient", "the gradient", dy, y.shape());
    check_same_device("epilogue_gradient", y, dy);
    check_same_dtype("epilogue_gradient", y, dy);
    const int64_t c = y.ndim() ? y.size(y.ndim() - 1) : 1;
    const bool dz_wanted = act.kind != ActivationKind::none;
    Tensor dz = dz_wanted ? Tensor::empty("epilogue_gradient", y.shape(), y.dtype(), y.device()) : dy;
    Tensor dbias = Tensor::empty("epilogue_gradient", {bias_wanted ? c : 0}, y.dtype(), y.device());
    if (!dz_wanted && !bias_wanted) return {dz, dbias};
    visit_floating("epilogue_gradient", y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(y.device())
            .epilogue_gradient(c ? y.numel() / c : 0, c, act, y.data<T>(), dy.data<T>(),
                               dz_wanted ? dz.data<T>() : nullptr, bias_wanted ? dbias.data<T>() : nullptr);
    });
    return {dz, dbias};
}

}  // namespace ck
