// Plain structs that describe one problem to a backend, and the formulas for output sizes.
// Letters: N,H,W,C input; O,R,S filters; P,Q output; GEMM m,n,k. All sizes and strides are in elements.
// Included by the ISA units, so: no std containers, no functions that could be emitted out of line.
#pragma once
#include <cstdint>

namespace ck {

constexpr int kMaxDims = 8;

constexpr int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

// Applied to a result while its tile is in registers. Every gradient can be computed from the output alone.
enum class ActivationKind : uint8_t { none, relu, relu6, leaky_relu, tanh, sigmoid };
struct Activation {
    ActivationKind kind = ActivationKind::none;
    double slope = 0.01;  // of leaky_relu for x < 0
};

// c[m,n] = op(a) op(b): a is [m,k] ([k,m] if trans_a), b is [k,n] ([n,k] if trans_b).
struct GemmShape {
    int64_t m, n, k;
    bool trans_a, trans_b;
};

// y[N,P,Q,O] = x[N,H,W,C] * w[O,R,S,C/groups]. As a GEMM: m = N*P*Q, n = O, k = R*S*C.
struct Conv2dShape {
    int64_t n, h, w, c;
    int64_t o, r, s;
    int64_t p, q;
    int64_t stride_h, stride_w, dilation_h, dilation_w;
    int64_t pad_top, pad_bottom, pad_left, pad_right;
    int64_t groups;
};

// Windows of r x s over x[N,H,W,C] give y[N,P,Q,C].
struct Pool2dShape {
    int64_t n, h, w, c;
    int64_t r, s;
    int64_t p, q;
    int64_t stride_h, stride_w, dilation_h, dilation_w;
    int64_t pad_top, pad_bottom, pad_left, pad_right;
};

// Max-pooling of a convolution's result by 2x2, stride 2, an odd row or column left over.
constexpr Pool2dShape halving_pool(const Conv2dShape& s) {
    return {s.n, s.p, s.q, s.o, 2, 2, s.p / 2, s.q / 2, 2, 2, 1, 1, 0, 0, 0, 0};
}

// x[N,H,W,C] -> y[N,P,Q,C] for upsampling and adaptive pooling.
struct Resize2dShape {
    int64_t n, h, w, c;
    int64_t p, q;
};

// Bytes of a maximum's window offset r*S+s: one for windows of up to 256 elements.
constexpr int64_t argmax_itemsize(const Pool2dShape& s) {
    return s.r * s.s <= 256 ? 1 : s.r * s.s <= 65536 ? 2 : 4;
}

// Along one axis: the taps [begin,end) of a window at `start` (of the unpadded input) that lie inside the input.
// Some tap must; the front door refuses other windows.
struct TapRange {
    int64_t begin, end;
};
constexpr TapRange taps_inside(int64_t start, int64_t taps, int64_t dilation, int64_t in) {
    const int64_t begin = start < 0 ? ceil_div(-start, dilation) : 0, end = ceil_div(in - start, dilation);
    return {begin, end < taps ? end : taps};
}

// Along one axis: an average of the inputs [begin,end), divided by `divisor`.
struct AverageBin {
    int64_t begin, end, divisor;
};

// Bin p of avg_pool2d. With padding counted the divisor is the window cut off at the end of the padded input (torch's
// rule: only ceil_mode reaches beyond it), else the number of inputs.
constexpr AverageBin average_bin(int64_t p, int64_t in, int64_t window, int64_t stride, int64_t pad_before,
                                 int64_t pad_after, bool count_include_pad) {
    const int64_t start = p * stride - pad_before, stop = start + window;
    const int64_t padded_stop = stop < in + pad_after ? stop : in + pad_after;
    const int64_t begin = start > 0 ? start : 0, end = stop < in ? stop : in;
    return {begin, end, count_include_pad ? padded_stop - start : end - begin};
}

// Bin p of adaptive_avg_pool2d: [floor(p*in/out), ceil((p+1)*in/out)).
constexpr AverageBin adaptive_bin(int64_t p, int64_t in, int64_t out) {
    const int64_t begin = p * in / out, end = ((p + 1) * in + out - 1) / out;
    return {begin, end, end - begin};
}

enum class ResizeMode : uint8_t { nearest, bilinear };

// Along one axis: output = (1 - fraction) * x[low] + fraction * x[high].
template <class Real>
struct Interpolation {
    int64_t low, high;
    Real fraction;
};

// Half-pixel centres: output p looks at (p + 0.5) / scale - 0.5, held inside the input. In units of 1 / (2 scale) these
// are integers.
template <class Real = double>
constexpr Interpolation<Real> interpolation(ResizeMode mode, int64_t p, int64_t in, int64_t out) {
    const int64_t scale = out / in, unit = 2 * scale;
    if (mode == ResizeMode::nearest) return {p / scale, p / scale, Real(0)};
    const int64_t centre = 2 * p + 1 - scale, source = centre > 0 ? centre : 0;
    const int64_t low = source / unit;
    return {low, low + 1 < in ? low + 1 : low, static_cast<Real>(source - low * unit) / static_cast<Real>(unit)};
}

// The same from the side of input i: the outputs [begin,end) that look at it, and with which weight.
struct InterpolatedBy {
    ResizeMode mode;
    int64_t i, in, scale;

    constexpr int64_t begin() const {
        if (mode == ResizeMode::nearest) return i * scale;
        return i == 0 ? 0 : (2 * scale * i - scale - 1) / 2 + 1;
    }
    constexpr int64_t end() const {
        if (mode == ResizeMode::nearest) return (i + 1) * scale;
        return i == in - 1 ? in * scale : (2 * scale * i + 3 * scale) / 2;
    }
    template <class Real>
    constexpr Real weight(int64_t p) const {
        const int64_t unit = 2 * scale, right = 2 * p + 1 - scale - unit * i;  // of input i, in units
        if (mode == ResizeMode::nearest || (i == 0 && right < 0) || (i == in - 1 && right > 0)) return Real(1);
        return static_cast<Real>(unit - (right < 0 ? -right : right)) / static_cast<Real>(unit);
    }
};

// Two operands broadcast to shape[ndim]; a stride of 0 repeats. Neighbouring axes that allow it are merged.
struct Broadcast {
    int ndim;
    int64_t shape[kMaxDims];
    int64_t stride_a[kMaxDims], stride_b[kMaxDims];
    int64_t numel() const {
        int64_t count = 1;
        for (int i = 0; i < ndim; ++i) count *= shape[i];
        return count;
    }
    // Where element `index` of the result, counted row-major, has its operands.
    struct Offsets {
        int64_t a, b;
    };
    constexpr Offsets offsets(int64_t index) const {
        Offsets at{0, 0};
        for (int i = ndim - 1; i >= 0; --i) {
            const int64_t step = index % shape[i];
            index /= shape[i];
            at.a += step * stride_a[i];
            at.b += step * stride_b[i];
        }
        return at;
    }
};

// Copies a box of shape[ndim] between two strided views; offsets are applied to the pointers by the caller.
struct StridedCopy {
    int ndim;
    int64_t shape[kMaxDims];
    int64_t src_stride[kMaxDims], dst_stride[kMaxDims];
    int64_t itemsize;  // bytes: 1, 2, 4 or 8
};

// A reduction in canonical form: x[outer,len,inner] -> y[outer,inner].
struct ReduceShape {
    int64_t outer, len, inner;
};

enum class UnaryOp : uint8_t { negate, exp, log, sqrt, abs, relu, relu6, leaky_relu, tanh, sigmoid };
enum class BinaryOp : uint8_t { add, subtract, multiply, divide, power };
enum class CompareOp : uint8_t { equal, not_equal, less, less_equal, greater, greater_equal };
enum class ReduceOp : uint8_t { sum, max };

// One draw of the counter-based generator: element i of the draw depends on (seed, offset + i) alone.
struct PhiloxKey {
    uint64_t seed, offset;
};

// A loss is one value per row (none), their mean or their sum.
enum class Reduction : uint8_t { none, mean, sum };

// Cross-entropy of softmax(x[rows,k]). The mean over labels divides by the weights of the labels.
struct CrossEntropyShape {
    int64_t rows, k;
    double label_smoothing;  // this share of each target is spread evenly over the k classes
    Reduction reduction;
};

enum class PointwiseLoss : uint8_t { mse, smooth_l1, bce_with_logits };
struct PointwiseLossShape {
    PointwiseLoss kind;
    int64_t n;
    double beta;  // smooth_l1 is quadratic below it
    Reduction reduction;
};

struct BatchNormShape {
    int64_t rows, c;
    double eps;
    Activation activation;
    bool training;
};

// The update rules of torch.optim.
struct SgdSettings {
    double lr, momentum, weight_decay;
    bool nesterov;
};
struct AdamSettings {
    double lr, beta1, beta2, eps, weight_decay;
    bool decoupled;  // AdamW: weight decay acts on the parameter, not on the gradient
    int64_t step;    // from 1
};

// One parameter of a step; arrays are [n].
template <class T>
struct SgdUpdate {
    int64_t n;
    T* param;
    const T* grad;
    T* velocity;  // from 0; null without momentum
};
template <class T>
struct AdamUpdate {
    int64_t n;
    T* param;
    const T* grad;
    T *m, *v;  // from 0
};

// floor((in + pad - dilation*(window-1) - 1) / stride) + 1; the callers refuse results below 1.
constexpr int64_t output_size(int64_t in, int64_t pad, int64_t window, int64_t stride, int64_t dilation) {
    const int64_t last_start = in + pad - dilation * (window - 1) - 1;
    return last_start < 0 ? 0 : last_start / stride + 1;
}

}  // namespace ck
