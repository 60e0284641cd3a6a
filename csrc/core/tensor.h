// Tensor: a dense, row-major view of a whole storage. Reshape is the only other view of the same memory.
#pragma once
#include <memory>
#include <vector>

#include "core/check.h"
#include "core/device.h"
#include "core/dtype.h"
#include "core/shapes.h"
#include "core/storage.h"

namespace ck {

using Shape = std::vector<int64_t>;

// Product of the sizes; refuses negative sizes, more than kMaxDims axes and products that overflow.
int64_t checked_numel(const char* op, const Shape& shape);

class Tensor {
  public:
    Tensor(Shape shape, DType dtype, std::shared_ptr<Storage> storage);
    // Uninitialised memory on `device`. `op` names the caller in the error for impossible sizes.
    static Tensor empty(const char* op, Shape shape, DType dtype, Device device);
    Tensor reshape(Shape shape) const;  // shares the storage; numel must agree

    const Shape& shape() const { return shape_; }
    int64_t size(int axis) const { return shape_[axis]; }
    int ndim() const { return static_cast<int>(shape_.size()); }
    int64_t numel() const { return numel_; }
    int64_t bytes() const { return numel_ * itemsize(dtype_); }
    DType dtype() const { return dtype_; }
    Device device() const { return storage_->device(); }
    const std::shared_ptr<Storage>& storage() const { return storage_; }

    void* raw() const { return storage_->data(); }
    template <class T>
    T* data() const {
        return static_cast<T*>(storage_->data());
    }

  private:
    Shape shape_;
    int64_t numel_;
    DType dtype_;
    std::shared_ptr<Storage> storage_;
};

// The elements of an optional argument.
template <class T>
T* data_or_null(const Tensor* t) {
    return t ? t->data<T>() : nullptr;
}

// Door checks used by every op.
void check_same_device(const char* op, const Tensor& a, const Tensor& b);
void check_same_dtype(const char* op, const Tensor& a, const Tensor& b);
void check_shape(const char* op, const char* what, const Tensor& t, const Shape& expected);
// The places of maxima that a pooling left for its gradient.
void check_argmax(const char* op, const Tensor& dy, const Tensor& argmax, const Shape& expected);
void check_writable(const char* op, const Tensor& t);

}  // namespace ck
