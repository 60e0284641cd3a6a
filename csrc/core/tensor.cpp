#include "core/tensor.h"

#include <limits>
#include <utility>

namespace ck {

int64_t checked_numel(const char* op, const Shape& shape) {
    CK_CHECK(shape.size() <= kMaxDims, op, "at most ", kMaxDims, " axes are supported. Received: shape ", shape, ".");
    // 8 bytes an element: the byte count of any dtype must fit too.
    constexpr int64_t kLimit = std::numeric_limits<int64_t>::max() / 8;
    int64_t count = 1;
    bool overflow = false, empty = false;
    for (int64_t size : shape) {
        CK_CHECK(size >= 0, op, "sizes must not be negative. Received: shape ", shape, ".");
        empty |= size == 0;
        if (size > 0 && !overflow) {
            overflow = count > kLimit / size;
            count *= overflow ? 1 : size;
        }
    }
    if (empty) return 0;
    CK_CHECK(!overflow, op, "the tensor would have more than 2^60 elements. Received: shape ", shape, ".");
    return count;
}

Tensor::Tensor(Shape shape, DType dtype, std::shared_ptr<Storage> storage)
    : shape_(std::move(shape)), numel_(checked_numel("tensor", shape_)), dtype_(dtype), storage_(std::move(storage)) {}

Tensor Tensor::empty(const char* op, Shape shape, DType dtype, Device device) {
    const int64_t bytes = checked_numel(op, shape) * itemsize(dtype);
    try {
        auto storage = std::make_shared<Storage>(bytes, device);  // first: the message below needs the shape
        return Tensor(std::move(shape), dtype, std::move(storage));
    } catch (const std::bad_alloc&) {
        throw ValueError(concat("[", op, "] not enough memory for ", bytes, " bytes. Received: shape ", shape, "."));
    }
}

Tensor Tensor::reshape(Shape shape) const {
    CK_CHECK(checked_numel("reshape", shape) == numel_, "reshape",
             "the number of elements must stay the same. Received: ", "shape ", shape_, " to ", shape, ".");
    return Tensor(std::move(shape), dtype_, storage_);
}

void check_same_device(const char* op, const Tensor& a, const Tensor& b) {
    CK_CHECK_TYPE(a.device() == b.device(), op, "all tensors must be on one device. Received: ", a.device().str(),
                  " and ", b.device().str(), ".");
}

void check_same_dtype(const char* op, const Tensor& a, const Tensor& b) {
    CK_CHECK_TYPE(a.dtype() == b.dtype(), op,
                  "all tensors must have one dtype (use astype). Received: ", name(a.dtype()), " and ", name(b.dtype()),
                  ".");
}

void check_shape(const char* op, const char* what, const Tensor& t, const Shape& expected) {
    CK_CHECK(t.shape() == expected, op, what, " must have shape ", expected, ". Received: ", t.shape(), ".");
}

void check_argmax(const char* op, const Tensor& dy, const Tensor& argmax, const Shape& expected) {
    check_same_device(op, dy, argmax);
    CK_CHECK_TYPE(argmax.dtype() == DType::uint8, op, "argmax must be uint8. Received: ", name(argmax.dtype()), ".");
    check_shape(op, "argmax", argmax, expected);
}

void check_writable(const char* op, const Tensor& t) {
    CK_CHECK(t.storage()->writable(), op, "the tensor shares read-only memory and cannot be written.");
}

}  // namespace ck
