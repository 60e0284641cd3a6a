#include "ops/backend.h"
#include "ops/ops.h"

namespace ck {
namespace {

Reduction parse_reduction(const char* op, const std::string& name) {
    if (name == "none") return Reduction::none;
    if (name == "mean") return Reduction::mean;
    if (name == "sum") return Reduction::sum;
    throw ValueError(concat("[", op, "] reduction must be 'none', 'mean' or 'sum'. Received: '", name, "'."));
}

constexpr const char* kCrossEntropy = "cross_entropy";

// Checked arguments of cross_entropy; int64 labels or probabilities, by the dtype of `target`.
struct CrossEntropyProblem {
    CrossEntropyShape s;
    Shape lead;  // logits' shape without the classes
    bool labelled;

    CrossEntropyProblem(const Tensor& logits, const Tensor& target, const Tensor* weight, double label_smoothing,
                        const std::string& reduction)
        : lead(logits.shape()), labelled(target.dtype() == DType::int64) {
        CK_CHECK(logits.ndim() >= 1 && logits.shape().back() >= 1, kCrossEntropy,
                 "logits must be [...,K] with at least one class. Received: shape ", logits.shape(), ".");
        CK_CHECK(label_smoothing >= 0 && label_smoothing <= 1, kCrossEntropy,
                 "label_smoothing must be in [0,1]. Received: ", label_smoothing, ".");
        s.k = lead.back();
        lead.pop_back();
        s.rows = logits.numel() / s.k;
        s.label_smoothing = label_smoothing;
        s.reduction = parse_reduction(kCrossEntropy, reduction);
        check_same_device(kCrossEntropy, logits, target);
        if (labelled) {
            CK_CHECK(target.shape() == lead, kCrossEntropy,
                     "labels must have the shape of the logits without the last axis. Received: labels ",
                     target.shape(), ", logits ", logits.shape(), ".");
            // On a device a look at the labels would wait for all that is queued: there a label out of range gives NaN.
            if (target.device().is_cpu()) check_labels(target);
        } else {
            check_same_dtype(kCrossEntropy, logits, target);
            CK_CHECK(target.shape() == logits.shape(), kCrossEntropy,
                     "probabilities must have the shape of the logits (integers are labels). Received: probabilities ",
                     target.shape(), ", logits ", logits.shape(), ".");
        }
        if (weight) {
            check_same_device(kCrossEntropy, logits, *weight);
            check_same_dtype(kCrossEntropy, logits, *weight);
            check_shape(kCrossEntropy, "weight", *weight, {s.k});
        }
    }

    Shape result_shape() const { return s.reduction == Reduction::none ? lead : Shape{}; }

  private:
    void check_labels(const Tensor& labels) const {
        const int64_t* label = labels.data<int64_t>();
        for (int64_t r = 0; r < s.rows; ++r) {
            CK_CHECK(label[r] >= 0 && label[r] < s.k, kCrossEntropy, "labels must be in [0,K). Received: label ",
                     label[r], " at position ", r, ", K=", s.k, ".");
        }
    }
};

const char* op_name(PointwiseLoss kind) {
    constexpr const char* kNames[] = {"mse_loss", "smooth_l1_loss", "binary_cross_entropy_with_logits"};
    return kNames[static_cast<int>(kind)];
}

PointwiseLossShape pointwise_problem(PointwiseLoss kind, const Tensor& x, const Tensor& target, const Tensor* weight,
                                     double beta, const std::string& reduction) {
    const char* op = op_name(kind);
    check_same_device(op, x, target);
    check_same_dtype(op, x, target);
    check_shape(op, "the target", target, x.shape());
    CK_CHECK(beta >= 0, op, "beta must not be negative. Received: ", beta, ".");
    if (weight) {
        check_same_device(op, x, *weight);
        check_same_dtype(op, x, *weight);
        check_shape(op, "weight", *weight, x.shape());
    }
    return {kind, x.numel(), beta, parse_reduction(op, reduction)};
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& target, const Tensor* weight, double label_smoothing,
                     const std::string& reduction) {
    const CrossEntropyProblem p(logits, target, weight, label_smoothing, reduction);
    Tensor y = Tensor::empty(kCrossEntropy, p.result_shape(), logits.dtype(), logits.device());
    visit_floating(kCrossEntropy, logits.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(logits.device())
            .cross_entropy(p.s, logits.data<T>(), p.labelled ? target.data<int64_t>() : nullptr,
                           p.labelled ? nullptr : target.data<T>(), data_or_null<T>(weight), y.data<T>());
    });
    return y;
}

Tensor cross_entropy_gradient(const Tensor& logits, const Tensor& target, const Tensor* weight, double label_smoothing,
                              const std::string& reduction, const Tensor& dy) {
    const CrossEntropyProblem p(logits, target, weight, label_smoothing, reduction);
    check_same_device(kCrossEntropy, logits, dy);
    check_same_dtype(kCrossEntropy, logits, dy);
    check_shape(kCrossEntropy, "the gradient", dy, p.result_shape());
    Tensor dx = Tensor::empty(kCrossEntropy, logits.shape(), logits.dtype(), logits.device());
    visit_floating(kCrossEntropy, logits.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(logits.device())
            .cross_entropy_gradient(p.s, logits.data<T>(), p.labelled ? target.data<int64_t>() : nullptr,
                                    p.labelled ? nullptr : target.data<T>(), data_or_null<T>(weight), dy.data<T>(),
                                    dx.data<T>());
    });
    return dx;
}

Tensor pointwise_loss(PointwiseLoss kind, const Tensor& x, const Tensor& target, const Tensor* weight, double beta,
                      const std::string& reduction) {
    const PointwiseLossShape s = pointwise_problem(kind, x, target, weight, beta, reduction);
    const Shape shape = s.reduction == Reduction::none ? x.shape() : Shape{};
    Tensor y = Tensor::empty(op_name(kind), shape, x.dtype(), x.device());
    visit_floating(op_name(kind), x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device()).pointwise_loss(s, x.data<T>(), target.data<T>(), data_or_null<T>(weight), y.data<T>());
    });
    return y;
}

Tensor pointwise_loss_gradient(PointwiseLoss kind, const Tensor& x, const Tensor& target, const Tensor* weight,
                               double beta, const std::string& reduction, const Tensor& dy) {
    const PointwiseLossShape s = pointwise_problem(kind, x, target, weight, beta, reduction);
    check_same_device(op_name(kind), x, dy);
    check_same_dtype(op_name(kind), x, dy);
    check_shape(op_name(kind), "the gradient", dy, s.reduction == Reduction::none ? x.shape() : Shape{});
    Tensor dx = Tensor::empty(op_name(kind), x.shape(), x.dtype(), x.device());
    visit_floating(op_name(kind), x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device())
            .pointwise_loss_gradient(s, x.data<T>(), target.data<T>(), data_or_null<T>(weight), dy.data<T>(),
                                     dx.data<T>());
    });
    return dx;
}

}  // namespace ck
