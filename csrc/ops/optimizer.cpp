#include <initializer_list>

#include "ops/backend.h"
#include "ops/ops.h"

namespace ck {
namespace {

// The gradient and the moments look like their parameter; all but the gradient are written.
void check_update(const char* op, const Tensor& param, const Tensor& grad,
                  std::initializer_list<const Tensor*> moments) {
    check_same_device(op, param, grad);
    check_same_dtype(op, param, grad);
    check_shape(op, "the gradient", grad, param.shape());
    check_writable(op, param);
    for (const Tensor* t : moments) {
        if (!t) continue;
        check_same_device(op, param, *t);
        check_same_dtype(op, param, *t);
        check_shape(op, "the moments", *t, param.shape());
        check_writable(op, *t);
    }
}

}  // namespace

void sgd_step(const SgdSettings& s, Tensor& param, const Tensor& grad, Tensor* velocity) {
    check_update("sgd_step", param, grad, {velocity});
    visit_floating("sgd_step", param.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(param.device())
            .sgd_step(s, param.numel(), param.data<T>(), grad.data<T>(), velocity ? velocity->data<T>() : nullptr);
    });
    param.storage()->bump_version();
    if (velocity) velocity->storage()->bump_version();
}

void adam_step(const AdamSettings& s, Tensor& param, const Tensor& grad, Tensor& m, Tensor& v) {
    check_update("adam_step", param, grad, {&m, &v});
    CK_CHECK(s.step >= 1, "adam_step", "step counts from 1. Received: step=", s.step, ".");
    visit_floating("adam_step", param.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(param.device())
            .adam_step(s, param.numel(), param.data<T>(), grad.data<T>(), m.data<T>(), v.data<T>());
    });
    for (Tensor* t : {&param, &m, &v}) t->storage()->bump_version();
}

}  // namespace ck
