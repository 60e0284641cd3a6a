#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "cuda/runtime.h"
#include "ops/backend.h"
#include "ops/ops.h"

namespace ck {
namespace {

Shape row_major_strides(const Shape& shape) {
    Shape strides(shape.size());
    int64_t stride = 1;
    for (size_t i = shape.size(); i-- > 0;) {
        strides[i] = stride;
        stride *= shape[i];
    }
    return strides;
}

void copy_box(const Tensor& src, int64_t src_offset, const Shape& src_stride, Tensor& dst, int64_t dst_offset,
              const Shape& dst_stride, const Shape& box) {
    StridedCopy s{};
    s.itemsize = itemsize(src.dtype());
    for (size_t i = 0; i < box.size(); ++i) {
        if (box[i] == 0) return;
        s.shape[i] = box[i];
        s.src_stride[i] = src_stride[i];
        s.dst_stride[i] = dst_stride[i];
    }
    s.ndim = static_cast<int>(box.size());
    backend<float>(src.device())
        .strided_copy(s, static_cast<const char*>(src.raw()) + src_offset * s.itemsize,
                      static_cast<char*>(dst.raw()) + dst_offset * s.itemsize);
}

int64_t dot(const Shape& a, const Shape& b) {
    int64_t sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

// value, towards zero for an integer; ValueError where the type does not reach that far.
template <class T>
T element_of(const char* op, DType dtype, double value) {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
        const double lowest = static_cast<double>(std::numeric_limits<T>::min());
        const double above = std::ldexp(1.0, std::numeric_limits<T>::digits);  // 2^63 is a double, 2^63 - 1 is none
        CK_CHECK((value > lowest - 1 || value == lowest) && value < above, op, name(dtype),
                 " cannot hold this number. Received: ", value, ".");
    }
    return static_cast<T>(value);
}

}  // namespace

Tensor transpose(const Tensor& x, const std::vector<int64_t>& axes) {
    const int ndim = x.ndim();
    CK_CHECK(static_cast<int>(axes.size()) == ndim, "transpose", "needs one axis for each of the ", ndim,
             " axes. Received: axes=", axes, " for shape ", x.shape(), ".");
    const Shape strides = row_major_strides(x.shape());
    Shape shape(axes.size()), src_stride(axes.size());
    uint32_t seen = 0;
    for (size_t i = 0; i < axes.size(); ++i) {
        CK_CHECK(axes[i] >= -ndim && axes[i] < ndim, "transpose", "axes must be in [", -ndim, ",", ndim,
                 "). Received: axes=", axes, ".");
        const int64_t axis = axes[i] < 0 ? axes[i] + ndim : axes[i];
        seen |= 1u << axis;
        shape[i] = x.shape()[axis];
        src_stride[i] = strides[axis];
    }
    CK_CHECK(seen == (1u << ndim) - 1, "transpose", "axes must be a permutation. Received: axes=", axes, ".");
    Tensor y = Tensor::empty("transpose", shape, x.dtype(), x.device());
    copy_box(x, 0, src_stride, y, 0, row_major_strides(shape), shape);
    return y;
}

Tensor slice(const Tensor& x, const Shape& start, const Shape& step, const Shape& size) {
    const Shape strides = row_major_strides(x.shape());
    Shape src_stride(strides);
    for (size_t i = 0; i < strides.size(); ++i) src_stride[i] *= step[i];
    Tensor y = Tensor::empty("slice", size, x.dtype(), x.device());
    copy_box(x, dot(start, strides), src_stride, y, 0, row_major_strides(size), size);
    return y;
}

Tensor slice_gradient(const Tensor& dy, const Shape& shape, const Shape& start, const Shape& step) {
    Tensor dx = full(shape, 0, dy.dtype(), dy.device());
    const Shape strides = row_major_strides(shape);
    Shape dst_stride(strides);
    for (size_t i = 0; i < strides.size(); ++i) dst_stride[i] *= step[i];
    copy_box(dy, 0, row_major_strides(dy.shape()), dx, dot(start, strides), dst_stride, dy.shape());
    return dx;
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
    if (x.shape() == shape) return x;
    const size_t lead = shape.size() - x.shape().size();
    bool allowed = shape.size() >= x.shape().size();
    Shape src_stride(shape.size(), 0);
    const Shape strides = row_major_strides(x.shape());
    for (size_t i = lead; allowed && i < shape.size(); ++i) {
        const int64_t size = x.shape()[i - lead];
        allowed = size == shape[i] || size == 1;
        src_stride[i] = size == 1 ? 0 : strides[i - lead];
    }
    CK_CHECK(allowed, "broadcast_to", "shapes must broadcast. Received: ", x.shape(), " to ", shape, ".");
    Tensor y = Tensor::empty("broadcast_to", shape, x.dtype(), x.device());
    copy_box(x, 0, src_stride, y, 0, row_major_strides(shape), shape);
    return y;
}

Tensor cast(const Tensor& x, DType dtype) {
    if (x.dtype() == dtype) return x;
    Tensor y = Tensor::empty("astype", x.shape(), dtype, x.device());
    backend<float>(x.device()).cast(x.numel(), x.dtype(), x.raw(), dtype, y.raw());
    return y;
}

Tensor full(const Shape& shape, double value, DType dtype, Device device) {
    Tensor y = Tensor::empty("full", shape, dtype, device);
    visit_all(dtype, [&](auto zero) {
        const auto element = element_of<decltype(zero)>("full", dtype, value);
        backend<float>(device).fill(y.numel(), itemsize(dtype), &element, y.raw());
    });
    return y;
}

Tensor arange(double start, double stop, double step, DType dtype, Device device) {
    CK_CHECK(step != 0, "arange", "step must not be 0. Received: start=", start, ", stop=", stop, ", step=", step, ".");
    const double count = std::ceil((stop - start) / step);
    CK_CHECK(count < 0x1p60, "arange", "too many elements. Received: start=", start, ", stop=", stop, ", step=", step,
             ".");
    Tensor y = Tensor::empty("arange", {count > 0 ? static_cast<int64_t>(count) : 0}, dtype, device);
    backend<float>(device).arange(y.numel(), start, step, dtype, y.raw());
    return y;
}

Tensor concatenate(const std::vector<Tensor>& tensors, int64_t axis) {
    constexpr const char* op = "concatenate";
    CK_CHECK(!tensors.empty(), op, "needs at least one tensor. Received: none.");
    const Tensor& first = tensors[0];
    CK_CHECK(axis >= -first.ndim() && axis < first.ndim(), op, "axis must be in [", -first.ndim(), ",", first.ndim(),
             "). Received: axis=", axis, " for shape ", first.shape(), ".");
    axis += axis < 0 ? first.ndim() : 0;
    Shape shape = first.shape();
    shape[axis] = 0;
    for (const Tensor& t : tensors) {
        check_same_device(op, first, t);
        check_same_dtype(op, first, t);
        Shape expected = first.shape();
        if (t.ndim() == first.ndim()) expected[axis] = t.shape()[axis];
        CK_CHECK(t.shape() == expected, op, "shapes must agree but for axis ", axis, ". Received: ", first.shape(),
                 " and ", t.shape(), ".");
        shape[axis] += t.shape()[axis];
    }
    Tensor y = Tensor::empty(op, shape, first.dtype(), first.device());
    const Shape dst_stride = row_major_strides(shape);
    int64_t offset = 0;
    for (const Tensor& t : tensors) {
        copy_box(t, 0, row_major_strides(t.shape()), y, offset, dst_stride, t.shape());
        offset += t.shape()[axis] * dst_stride[axis];
    }
    return y;
}

Tensor pad(const Tensor& x, const Shape& before, const Shape& after, double value) {
    constexpr const char* op = "pad";
    CK_CHECK(before.size() == x.shape().size() && after.size() == before.size(), op,
             "needs one (before, after) pair for each axis. Received: ", before.size(), " for shape ", x.shape(), ".");
    constexpr int64_t kLimit = int64_t{1} << 60;  // more than any tensor has, and sums of them do not overflow
    Shape shape = x.shape();
    for (size_t i = 0; i < shape.size(); ++i) {
        CK_CHECK(before[i] >= 0 && after[i] >= 0 && before[i] < kLimit && after[i] < kLimit, op,
                 "padding must be at least 0 and below 2^60. Received: before=", before, ", after=", after, ".");
        shape[i] += before[i] + after[i];
    }
    Tensor y = Tensor::empty(op, shape, x.dtype(), x.device());
    const Shape stride = row_major_strides(shape), repeated(shape.size(), 0);
    const Tensor filling = full({1}, value, x.dtype(), x.device());
    // Axis by axis the two slabs outside x, within the rows that earlier axes left open; then x in the middle.
    Shape box = shape;
    int64_t corner = 0;
    for (size_t i = 0; i < shape.size(); ++i) {
        box[i] = before[i];
        copy_box(filling, 0, repeated, y, corner, stride, box);
        box[i] = after[i];
        copy_box(filling, 0, repeated, y, corner + (before[i] + x.shape()[i]) * stride[i], stride, box);
        box[i] = x.shape()[i];
        corner += before[i] * stride[i];
    }
    copy_box(x, 0, row_major_strides(x.shape()), y, corner, stride, x.shape());
    return y;
}

namespace {

void copy_bytes(Tensor& dst, const Tensor& src) {
    const Device to = dst.device(), from = src.device();
    if (to.is_cpu() && from.is_cpu()) {
        std::memmove(dst.raw(), src.raw(), static_cast<size_t>(src.bytes()));
    } else if (from.is_cpu()) {
        cuda::copy_to_device(dst.raw(), src.raw(), src.bytes(), to.index);
    } else if (to.is_cpu()) {
        cuda::copy_to_host(dst.raw(), src.raw(), src.bytes(), from.index);
    } else if (to == from) {
        cuda::copy_on_device(dst.raw(), src.raw(), src.bytes(), to.index);
    } else {
        cuda::copy_between_devices(dst.raw(), to.index, src.raw(), from.index, src.bytes());
    }
}

}  // namespace

Tensor to_device(const Tensor& x, Device device) {
    if (x.device() == device) return x;
    Tensor y = Tensor::empty("to", x.shape(), x.dtype(), device);
    copy_bytes(y, x);
    return y;
}

void copy_into(Tensor& dst, const Tensor& src) {
    check_same_dtype("copy_", dst, src);
    check_shape("copy_", "the source", src, dst.shape());
    check_writable("copy_", dst);
    copy_bytes(dst, src);
    dst.storage()->bump_version();
}

}  // namespace ck
