#include "ops/backend.h"
#include "ops/ops.h"
#include "ops/statistics.h"

namespace ck {
namespace {

constexpr const char* kOp = "batch_norm";

DType param_dtype(const Tensor& x) {
    return x.dtype() == DType::bfloat16 ? DType::float32 : x.dtype();
}

void check_channels(const char* what, const Tensor& x, const Tensor& t) {
    check_same_device(kOp, x, t);
    CK_CHECK_TYPE(t.dtype() == param_dtype(x), kOp, what, " must be ", name(param_dtype(x)),
                  " (use astype). Received: x ", name(x.dtype()), ", ", what, " ", name(t.dtype()), ".");
    check_shape(kOp, what, t, {x.shape().back()});
}

// x [...,C] as rows x C; the columns' mean, variance, weight and bias are [C].
BatchNormShape checked_shape(const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor* weight,
                             const Tensor* bias, const BatchNormSettings& settings) {
    check_channels("mean", x, mean);
    check_channels("variance", x, variance);
    if (weight) check_channels("weight", x, *weight);
    if (bias) check_channels("bias", x, *bias);
    CK_CHECK(settings.eps >= 0, kOp, "eps must not be negative. Received: eps=", settings.eps, ".");
    const int64_t c = x.shape().back();
    return {c ? x.numel() / c : 0, c, settings.eps, settings.activation, settings.training};
}

}  // namespace

std::pair<Tensor, Tensor> take_statistics(const Tensor& x, Tensor* running_mean, Tensor* running_var,
                                          const std::function<void(Tensor& mean, Tensor& variance)>& take) {
    CK_CHECK(x.ndim() >= 1, kOp, "x must be [...,C]. Received: shape ", x.shape(), ".");
    const int64_t c = x.shape().back(), rows = c ? x.numel() / c : 0;
    CK_CHECK(rows != 1, kOp, "training needs more than one value per channel. Received: shape ", x.shape(), ".");
    CK_CHECK(!running_mean == !running_var, kOp, "running_mean and running_var come together or not at all.");
    for (Tensor* t : {running_mean, running_var}) {
        if (!t) continue;
        check_channels(t == running_mean ? "running_mean" : "running_var", x, *t);
        check_writable(kOp, *t);
    }
    if (rows == 0)
        return {full({c}, 0, param_dtype(x), x.device()),
                full({c}, 1, param_dtype(x), x.device())};  // nothing to normalise or to learn
    Tensor mean = Tensor::empty(kOp, {c}, param_dtype(x), x.device());
    Tensor variance = Tensor::empty(kOp, {c}, param_dtype(x), x.device());
    take(mean, variance);
    for (Tensor* t : {running_mean, running_var}) {
        if (t) t->storage()->bump_version();
    }
    return {mean, variance};
}

std::pair<Tensor, Tensor> batch_norm_statistics(const Tensor& x, double momentum, Tensor* running_mean,
                                                Tensor* running_var) {
    return take_statistics(x, running_mean, running_var, [&](Tensor& mean, Tensor& variance) {
        visit_floating(kOp, x.dtype(), [&](auto zero) {
            using T = decltype(zero);
            const int64_t c = x.shape().back();
            backend<T>(x.device())
                .batch_norm_statistics(x.numel() / c, c, momentum, x.data<T>(), mean.data<Param<T>>(),
                                       variance.data<Param<T>>(), data_or_null<Param<T>>(running_mean),
                                       data_or_null<Param<T>>(running_var));
        });
    });
}

Tensor batch_norm(const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor* weight, const Tensor* bias,
                  const Tensor* residual, const BatchNormSettings& settings) {
    CK_CHECK(x.ndim() >= 1, kOp, "x must be [...,C]. Received: shape ", x.shape(), ".");
    const BatchNormShape s = checked_shape(x, mean, variance, weight, bias, settings);
    if (residual) {
        check_same_device(kOp, x, *residual);
        check_same_dtype(kOp, x, *residual);
        check_shape(kOp, "the residual", *residual, x.shape());
    }
    Tensor y = Tensor::empty(kOp, x.shape(), x.dtype(), x.device());
    visit_floating(kOp, x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device())
            .batch_norm(s, x.data<T>(), mean.data<Param<T>>(), variance.data<Param<T>>(),
                        data_or_null<Param<T>>(weight), data_or_null<Param<T>>(bias), data_or_null<T>(residual),
                        y.data<T>());
    });
    return y;
}

BatchNormGradients batch_norm_gradient(const Tensor& x, const Tensor& mean, const Tensor& variance,
                                       const Tensor* weight, const Tensor* bias, const Tensor* y, const Tensor& dy,
                                       bool has_residual, const BatchNormSettings& settings) {
    const BatchNormShape s = checked_shape(x, mean, variance, weight, bias, settings);
    check_shape(kOp, "the gradient", dy, x.shape());
    check_same_device(kOp, x, dy);
    check_same_dtype(kOp, x, dy);
    CK_CHECK(y || settings.activation.kind == ActivationKind::none, kOp, "the gradient of an activation needs y.");
    if (y) {
        check_same_device(kOp, x, *y);
        check_same_dtype(kOp, x, *y);
        check_shape(kOp, "y", *y, x.shape());
    }
    // Without an activation the residual's gradient is dy itself.
    const bool dz_wanted = has_residual && y;
    BatchNormGradients g{Tensor::empty(kOp, x.shape(), x.dtype(), x.device()),
                         Tensor::empty(kOp, {s.c}, param_dtype(x), x.device()),
                         Tensor::empty(kOp, {s.c}, param_dtype(x), x.device()),
                         dz_wanted ? Tensor::empty(kOp, x.shape(), x.dtype(), x.device()) : dy};
    visit_floating(kOp, x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device())
            .batch_norm_gradient(s, x.data<T>(), mean.data<Param<T>>(), variance.data<Param<T>>(),
                                 data_or_null<Param<T>>(weight), data_or_null<Param<T>>(bias), data_or_null<T>(y),
                                 dy.data<T>(), g.dx.data<T>(), g.dweight.data<Param<T>>(), g.dbias.data<Param<T>>(),
                                 dz_wanted ? g.dresidual.data<T>() : nullptr);
    });
    return g;
}

}  // namespace ck
