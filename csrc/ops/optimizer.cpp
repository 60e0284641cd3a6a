#include <initializer_list>

#include "ops/backend.h"
#include "ops/ops.h"

namespace ck {
namespace {

using Tensors = std::vector<Tensor>;

// The gradients and the moments look like their parameters; all but the gradients are written. One call is one launch:
// the parameters share device and dtype.
void check_updates(const char* op, const Tensors& params, const Tensors& grads,
                   std::initializer_list<const Tensors*> moments) {
    for (const Tensors* tensors : moments)
        CK_CHECK(tensors->size() == params.size(), op, "needs moments for every parameter. Received: ", params.size(),
                 " parameters, ", tensors->size(), " moments.");
    CK_CHECK(grads.size() == params.size(), op, "needs a gradient for every parameter. Received: ", params.size(),
             " parameters, ", grads.size(), " gradients.");
    for (size_t i = 0; i < params.size(); ++i) {
        const auto check_like = [&](const Tensor& t, const char* what) {
            check_same_device(op, params[0], t);
            check_same_dtype(op, params[0], t);
            check_shape(op, what, t, params[i].shape());
        };
        check_like(params[i], "the parameter");
        check_writable(op, params[i]);
        check_like(grads[i], "the gradient");
        for (const Tensors* tensors : moments) {
            check_like((*tensors)[i], "the moments");
            check_writable(op, (*tensors)[i]);
        }
    }
}

void bump_versions(std::initializer_list<const Tensors*> written) {
    for (const Tensors* tensors : written)
        for (const Tensor& t : *tensors) t.storage()->bump_version();
}

}  // namespace

void sgd_step(const SgdSettings& s, const Tensors& params, const Tensors& grads, const Tensors& velocities) {
    const bool momentum = !velocities.empty();
    check_updates("sgd_step", params, grads, {momentum ? &velocities : &params});
    if (params.empty()) return;
    visit_floating("sgd_step", params[0].dtype(), [&](auto zero) {
        using T = decltype(zero);
        std::vector<SgdUpdate<T>> updates;
        for (size_t i = 0; i < params.size(); ++i)
            updates.push_back({params[i].numel(), params[i].data<T>(), grads[i].data<T>(),
                               momentum ? velocities[i].data<T>() : nullptr});
        backend<T>(params[0].device()).sgd_step(s, static_cast<int64_t>(updates.size()), updates.data());
    });
    bump_versions({&params, &velocities});
}

void adam_step(const AdamSettings& s, const Tensors& params, const Tensors& grads, const Tensors& m, const Tensors& v) {
    check_updates("adam_step", params, grads, {&m, &v});
    CK_CHECK(s.step >= 1, "adam_step", "step counts from 1. Received: step=", s.step, ".");
    if (params.empty()) return;
    visit_floating("adam_step", params[0].dtype(), [&](auto zero) {
        using T = decltype(zero);
        std::vector<AdamUpdate<T>> updates;
        for (size_t i = 0; i < params.size(); ++i)
            updates.push_back(
                {params[i].numel(), params[i].data<T>(), grads[i].data<T>(), m[i].data<T>(), v[i].data<T>()});
        backend<T>(params[0].device()).adam_step(s, static_cast<int64_t>(updates.size()), updates.data());
    });
    bump_versions({&params, &m, &v});
}

}  // namespace ck
