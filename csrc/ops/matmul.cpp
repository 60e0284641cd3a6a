#include <algorithm>

#include "ops/backend.h"
#include "ops/ops.h"

namespace ck {
namespace {

// The operands of matmul seen as stacks of matrices: the broadcast batch axes, and the product of one pair.
struct Stack {
    GemmShape gemm;
    Shape batch;
};

// Elements per step of each axis of `batch` in a stack of matrices of `shape` = [..., rows, columns].
Shape batch_strides(const Shape& shape, const Shape& batch) {
    Shape strides(batch.size(), 0);
    if (shape.size() < 3 || batch.empty()) return strides;
    int64_t stride = shape[shape.size() - 2] * shape[shape.size() - 1];
    for (size_t i = 0; i < shape.size() - 2; ++i) {  // from the last batch axis
        const int64_t size = shape[shape.size() - 3 - i];
        strides[batch.size() - 1 - i] = size == 1 ? 0 : stride;
        stride *= size;
    }
    return strides;
}

Stack match(const Tensor& a, const Tensor& b, bool trans_a, bool trans_b) {
    CK_CHECK(a.ndim() > 0 && b.ndim() > 0, "matmul", "operands need at least one axis. Received: a ", a.shape(), ", b ",
             b.shape(), ".");
    const Shape &sa = a.shape(), &sb = b.shape();
    const size_t na = sa.size(), nb = sb.size();
    Stack o;
    trans_a = trans_a && na > 1;
    trans_b = trans_b || nb == 1;  // a column is a row transposed
    o.gemm = {na == 1 ? 1 : sa[na - (trans_a ? 1 : 2)], nb == 1 ? 1 : sb[nb - (trans_b ? 2 : 1)],
              sa[na - (trans_a ? 2 : 1)], trans_a, trans_b};
    CK_CHECK(sb[nb - (trans_b ? 1 : 2)] == o.gemm.k, "matmul",
             "the last axis of a must equal the last but one of b. Received: a ", sa, trans_a ? " transposed" : "",
             ", b ", sb, trans_b && nb > 1 ? " transposed" : "", ".");
    o.batch.resize(std::max<size_t>({na, nb, 2}) - 2);
    for (size_t i = 0; i < o.batch.size(); ++i) {  // from the last batch axis
        const int64_t size_a = i + 2 < na ? sa[na - 3 - i] : 1, size_b = i + 2 < nb ? sb[nb - 3 - i] : 1;
        CK_CHECK(size_a == size_b || size_a == 1 || size_b == 1, "matmul",
                 "axes before the last two must broadcast: equal, or 1. Received: a ", sa, ", b ", sb, ".");
        o.batch[o.batch.size() - 1 - i] = size_a == 1 ? size_b : size_a;
    }
    return o;
}

Broadcast strides_of(const Stack& o, const Tensor& a, const Tensor& b) {
    const Shape stride_a = batch_strides(a.shape(), o.batch), stride_b = batch_strides(b.shape(), o.batch);
    Broadcast stack{};
    stack.ndim = static_cast<int>(o.batch.size());
    std::copy(o.batch.begin(), o.batch.end(), stack.shape);
    std::copy(stride_a.begin(), stride_a.end(), stack.stride_a);
    std::copy(stride_b.begin(), stride_b.end(), stack.stride_b);
    return stack;
}

template <class T>
void multiply(const Stack& o, const Tensor& a, const Tensor& b, Tensor& y) {
    const Backend<T>& on = backend<T>(y.device());
    if (!o.batch.empty()) {
        on.gemm_stack(o.gemm, strides_of(o, a, b), a.data<T>(), b.data<T>(), y.data<T>());
        return;
    }
    // Not for a^T b, the gradient of a weight: b is an activation then, and used once.
    DerivedCache* packed = o.gemm.trans_a ? nullptr : b.storage()->derived();
    on.gemm(o.gemm, a.data<T>(), b.data<T>(), packed, nullptr, {}, y.data<T>());
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, bool trans_a, bool trans_b) {
    check_same_device("matmul", a, b);
    check_same_dtype("matmul", a, b);
    Stack o = match(a, b, trans_a, trans_b);
    Shape shape = o.batch;
    if (a.ndim() > 1) shape.push_back(o.gemm.m);
    if (b.ndim() > 1) shape.push_back(o.gemm.n);
    Tensor y = Tensor::empty("matmul", shape, a.dtype(), a.device());
    if (y.numel() == 0) return y;
    if (b.ndim() <= 2 && !o.gemm.trans_a) {  // a stack that shares one matrix is a tall matrix
        for (int64_t size : o.batch) o.gemm.m *= size;
        o.batch.clear();
    }
    visit_floating("matmul", a.dtype(), [&](auto zero) { multiply<decltype(zero)>(o, a, b, y); });
    return y;
}

Tensor linear(const Tensor& x, const Tensor& w, const Tensor* bias, Activation act) {
    check_same_device("linear", x, w);
    check_same_dtype("linear", x, w);
    CK_CHECK(w.ndim() == 2, "linear", "w must have shape [out_features,in_features]. Received: ", w.shape(), ".");
    const int64_t out = w.size(0), in = w.size(1);
    CK_CHECK(x.ndim() > 0 && x.size(x.ndim() - 1) == in, "linear", "x's last axis must equal in_features. Received: x ",
             x.shape(), ", w ", w.shape(), ".");
    if (bias) {
        check_same_device("linear", x, *bias);
        check_same_dtype("linear", x, *bias);
        check_shape("linear", "bias", *bias, {out});
    }
    Shape shape = x.shape();
    shape.back() = out;
    Tensor y = Tensor::empty("linear", shape, x.dtype(), x.device());
    const int64_t rows = out ? y.numel() / out : 0;
    visit_floating("linear", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device())
            .gemm({rows, out, in, false, true}, x.data<T>(), w.data<T>(), w.storage()->derived(), data_or_null<T>(bias),
                  act, y.data<T>());
    });
    return y;
}

}  // namespace ck
