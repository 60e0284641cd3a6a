#include <algorithm>

#include "ops/backend.h"
#include "ops/ops.h"

namespace ck {
namespace {

// Window parameters are kept below 2^31: no size computed from them can overflow.
constexpr int64_t kLimit = int64_t{1} << 31;

// One axis of a pooling problem, as the checks see it.
struct Axis {
    const char* input;  // its letter in errors
    const char* output;
    int64_t size, window, stride, dilation, before, after;
};

int64_t window_extent(const Axis& a) {
    return a.dilation * (a.window - 1) + 1;
}

// Outputs along one axis; ValueError when there is none, or one whose window holds no input.
int64_t output_count(const char* op, const Axis& a, bool ceil_mode) {
    CK_CHECK(
        a.before <= window_extent(a) / 2 && a.after <= window_extent(a) / 2, op,
        "padding must be at most half the window, (dilation*(kernel_size-1)+1)/2, on each side. Received: padding=(",
        a.before, ",", a.after, "), kernel_size=", a.window, ", dilation=", a.dilation, " along ", a.input, ".");
    const int64_t room = a.size + a.before + a.after - window_extent(a);
    CK_CHECK(room >= 0 || (ceil_mode && room > -a.stride), op, "the window must fit into the padded input: ", a.output,
             ceil_mode ? " = ceil((" : " = floor((", a.input,
             " + pad_before + pad_after - dilation*(kernel_size-1) - 1) / stride) + 1 = ",
             ceil_mode ? "ceil((" : "floor((", a.size, " + ", a.before, " + ", a.after, " - ", a.dilation, "*(",
             a.window, "-1) - 1) / ", a.stride, ") + 1 must be at least 1. Received: ", a.input, "=", a.size, ".");
    int64_t count = (ceil_mode ? ceil_div(room, a.stride) : room / a.stride) + 1;
    // A window must start in the input or in the padding before it.
    if (ceil_mode && (count - 1) * a.stride >= a.size + a.before) --count;
    // Those that begin in the padding, and the last: the others begin at an input element.
    for (int64_t i = 0; i < count; i = (i + 1) * a.stride < a.before ? i + 1 : std::max(i + 1, count - 1)) {
        const int64_t start = i * a.stride - a.before;
        const int64_t first = start >= 0 ? start : start + ceil_div(-start, a.dilation) * a.dilation;
        CK_CHECK(first < a.size && first < start + window_extent(a), op,
                 "every window must hold an input element. Received: window ", i, " along ", a.input, "=", a.size,
                 ", kernel_size=", a.window, ", stride=", a.stride, ", padding=(", a.before, ",", a.after,
                 "), dilation=", a.dilation, ".");
    }
    return count;
}

Pool2dShape make_shape(const char* op, const Shape& x, const Pool2dGeometry& g) {
    CK_CHECK(x.size() == 4, op, "x must have shape [N,H,W,C]. Received: ", x, ".");
    const auto in_range = [](const auto& values, int64_t low) {
        return std::all_of(values.begin(), values.end(), [low](int64_t v) { return v >= low && v < kLimit; });
    };
    CK_CHECK(in_range(g.window, 1) && in_range(g.stride, 1) && in_range(g.dilation, 1), op,
             "kernel_size, stride and dilation must be at least 1 and below 2^31. Received: kernel_size=(", g.window[0],
             ",", g.window[1], "), stride=(", g.stride[0], ",", g.stride[1], "), dilation=(", g.dilation[0], ",",
             g.dilation[1], ").");
    CK_CHECK(g.window[0] * g.window[1] < kLimit, op,
             "the window must have fewer than 2^31 elements. Received: kernel_size=(", g.window[0], ",", g.window[1],
             ").");
    CK_CHECK(in_range(g.padding, 0), op, "padding must be at least 0 and below 2^31. Received: top=", g.padding[0],
             ", bottom=", g.padding[1], ", left=", g.padding[2], ", right=", g.padding[3], ".");
    const Axis rows{"H", "P", x[1], g.window[0], g.stride[0], g.dilation[0], g.padding[0], g.padding[1]};
    const Axis columns{"W", "Q", x[2], g.window[1], g.stride[1], g.dilation[1], g.padding[2], g.padding[3]};
    Pool2dShape s{};
    s.n = x[0], s.h = x[1], s.w = x[2], s.c = x[3];
    s.r = rows.window, s.s = columns.window;
    s.p = output_count(op, rows, g.ceil_mode), s.q = output_count(op, columns, g.ceil_mode);
    s.stride_h = rows.stride, s.stride_w = columns.stride;
    s.dilation_h = rows.dilation, s.dilation_w = columns.dilation;
    s.pad_top = rows.before, s.pad_bottom = rows.after;
    s.pad_left = columns.before, s.pad_right = columns.after;
    return s;
}

Shape output_shape(const Pool2dShape& s) {
    return {s.n, s.p, s.q, s.c};
}

// Opaque bytes; the element's size is fixed by the window's.
Shape argmax_shape(const Pool2dShape& s) {
    return {s.n, s.p, s.q, s.c * argmax_itemsize(s)};
}

Resize2dShape resize_shape(const char* op, const Shape& x, int64_t p, int64_t q) {
    CK_CHECK(x.size() == 4, op, "x must have shape [N,H,W,C]. Received: ", x, ".");
    return {x[0], x[1], x[2], x[3], p, q};
}

// ValueError unless every index names a place in its plane of p x q.
void check_indices(const Tensor& x, const Tensor& indices, int64_t places) {
    constexpr const char* op = "max_unpool2d";
    CK_CHECK(x.ndim() == 4, op, "x must have shape [N,H,W,C]. Received: ", x.shape(), ".");
    check_same_device(op, x, indices);
    CK_CHECK_TYPE(indices.dtype() == DType::int64, op, "indices must be int64. Received: ", name(indices.dtype()), ".");
    check_shape(op, "indices", indices, x.shape());
    const Tensor on_host = to_device(indices, {});
    const int64_t* data = on_host.data<int64_t>();
    for (int64_t i = 0; i < indices.numel(); ++i) {
        CK_CHECK(data[i] >= 0 && data[i] < places, op, "indices must be in [0,", places,
                 "), the places of one output plane. Received: ", data[i], " at element ", i, ".");
    }
}

}  // namespace

std::pair<Tensor, Tensor> max_pool2d(const Tensor& x, const Pool2dGeometry& g, bool argmax_wanted) {
    constexpr const char* op = "max_pool2d";
    const Pool2dShape s = make_shape(op, x.shape(), g);
    Tensor y = Tensor::empty(op, output_shape(s), x.dtype(), x.device());
    Tensor argmax = Tensor::empty(op, argmax_wanted ? argmax_shape(s) : Shape{0}, DType::uint8, x.device());
    visit_floating(op, x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device()).max_pool2d(s, x.data<T>(), y.data<T>(), argmax_wanted ? argmax.raw() : nullptr);
    });
    return {y, argmax};
}

Tensor max_pool2d_gradient(const Shape& x_shape, const Tensor& dy, const Tensor& argmax, const Pool2dGeometry& g) {
    constexpr const char* op = "max_pool2d";
    const Pool2dShape s = make_shape(op, x_shape, g);
    check_shape(op, "the gradient", dy, output_shape(s));
    check_argmax(op, dy, argmax, argmax_shape(s));
    Tensor dx = Tensor::empty(op, x_shape, dy.dtype(), dy.device());
    visit_floating(op, dy.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(dy.device()).max_pool2d_gradient(s, dy.data<T>(), argmax.raw(), dx.data<T>());
    });
    return dx;
}

Tensor max_pool2d_indices(const Shape& x_shape, const Tensor& argmax, const Pool2dGeometry& g) {
    constexpr const char* op = "max_pool2d";
    const Pool2dShape s = make_shape(op, x_shape, g);
    check_shape(op, "argmax", argmax, argmax_shape(s));
    Tensor indices = Tensor::empty(op, output_shape(s), DType::int64, argmax.device());
    backend<float>(argmax.device()).max_pool2d_indices(s, argmax.raw(), indices.data<int64_t>());
    return indices;
}

Tensor max_unpool2d(const Tensor& x, const Tensor& indices, const std::array<int64_t, 2>& size) {
    constexpr const char* op = "max_unpool2d";
    CK_CHECK(size[0] >= 1 && size[1] >= 1 && size[0] < kLimit && size[1] < kLimit, op,
             "the output size must be at least 1 and below 2^31. Received: (", size[0], ",", size[1], ").");
    check_indices(x, indices, size[0] * size[1]);
    const Resize2dShape s = resize_shape(op, x.shape(), size[0], size[1]);
    Tensor y = Tensor::empty(op, {s.n, s.p, s.q, s.c}, x.dtype(), x.device());
    visit_floating(op, x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device()).max_unpool2d(s, x.data<T>(), indices.data<int64_t>(), y.data<T>());
    });
    return y;
}

Tensor max_unpool2d_gradient(const Tensor& dy, const Tensor& indices) {
    constexpr const char* op = "max_unpool2d";
    CK_CHECK(dy.ndim() == 4, op, "the gradient must have shape [N,H,W,C]. Received: ", dy.shape(), ".");
    Tensor dx = Tensor::empty(op, indices.shape(), dy.dtype(), dy.device());
    check_indices(dx, indices, dy.size(1) * dy.size(2));  // the caller may have overwritten them since
    const Resize2dShape s = resize_shape(op, dx.shape(), dy.size(1), dy.size(2));
    check_shape(op, "the gradient", dy, {s.n, s.p, s.q, s.c});
    visit_floating(op, dy.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(dy.device()).max_unpool2d_gradient(s, dy.data<T>(), indices.data<int64_t>(), dx.data<T>());
    });
    return dx;
}

Tensor avg_pool2d(const Tensor& x, const Pool2dGeometry& g, bool count_include_pad) {
    constexpr const char* op = "avg_pool2d";
    const Pool2dShape s = make_shape(op, x.shape(), g);
    Tensor y = Tensor::empty(op, output_shape(s), x.dtype(), x.device());
    visit_floating(op, x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device()).avg_pool2d(s, count_include_pad, x.data<T>(), y.data<T>());
    });
    return y;
}

Tensor avg_pool2d_gradient(const Shape& x_shape, const Tensor& dy, const Pool2dGeometry& g, bool count_include_pad) {
    constexpr const char* op = "avg_pool2d";
    const Pool2dShape s = make_shape(op, x_shape, g);
    check_shape(op, "the gradient", dy, output_shape(s));
    Tensor dx = Tensor::empty(op, x_shape, dy.dtype(), dy.device());
    visit_floating(op, dy.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(dy.device()).avg_pool2d_gradient(s, count_include_pad, dy.data<T>(), dx.data<T>());
    });
    return dx;
}

Tensor adaptive_avg_pool2d(const Tensor& x, const std::array<int64_t, 2>& size) {
    constexpr const char* op = "adaptive_avg_pool2d";
    const Resize2dShape s = resize_shape(op, x.shape(), size[0], size[1]);
    CK_CHECK(s.p >= 1 && s.q >= 1 && s.p < kLimit && s.q < kLimit, op,
             "output_size must be at least 1 and below 2^31. Received: (", s.p, ",", s.q, ").");
    CK_CHECK(s.h >= 1 && s.w >= 1, op, "the input must have at least one row and column. Received: ", x.shape(), ".");
    Tensor y = Tensor::empty(op, {s.n, s.p, s.q, s.c}, x.dtype(), x.device());
    visit_floating(op, x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        if (y.numel()) backend<T>(x.device()).adaptive_avg_pool2d(s, x.data<T>(), y.data<T>());
    });
    return y;
}

Tensor adaptive_avg_pool2d_gradient(const Shape& x_shape, const Tensor& dy) {
    constexpr const char* op = "adaptive_avg_pool2d";
    CK_CHECK(dy.ndim() == 4, op, "the gradient must have shape [N,P,Q,C]. Received: ", dy.shape(), ".");
    const Resize2dShape s = resize_shape(op, x_shape, dy.size(1), dy.size(2));
    check_shape(op, "the gradient", dy, {s.n, s.p, s.q, s.c});
    Tensor dx = Tensor::empty(op, x_shape, dy.dtype(), dy.device());
    visit_floating(op, dy.dtype(), [&](auto zero) {
        using T = decltype(zero);
        if (dx.numel()) backend<T>(dy.device()).adaptive_avg_pool2d_gradient(s, dy.data<T>(), dx.data<T>());
    });
    return dx;
}

}  // namespace ck
