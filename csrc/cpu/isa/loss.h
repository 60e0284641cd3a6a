// Loss kernels. Cross-entropy of a row x[k] is the sum over j of t_j (log sum_i exp(x_i) - x_j), with the targets
// t_j = weight_j ((1 - smoothing) p_j + smoothing / k); a label is p_label = 1.
#pragma once
#include "cpu/isa/softmax.h"
#include "cpu/isa/vec.h"
#include "cpu/isa/vec_math.h"

namespace {

// The targets of one row but for a label's own share, which is one element: see label_share.
struct Targets {
    const float* probabilities;  // [k] or null: labels
    const float* weight;         // [k] or null
    float spread, keep;          // smoothing / k, 1 - smoothing

    CK_INLINE Targets(const CrossEntropyShape& s, const float* p, const float* w)
        : probabilities(p),
          weight(w),
          spread(static_cast<float>(s.label_smoothing / static_cast<double>(s.k))),
          keep(static_cast<float>(1 - s.label_smoothing)) {}

    CK_INLINE bool zero() const { return !probabilities && spread == 0; }
    template <class Lanes>
    CK_INLINE vf operator()(int64_t j, Lanes lanes) const {
        vf t = set1(spread);
        if (probabilities) t += lanes.load(probabilities + j) * keep;
        if (weight) t *= lanes.load(weight + j);
        return lanes.keep(t, 0);
    }
    CK_INLINE float label_share(int64_t label) const { return weight ? keep * weight[label] : keep; }
};

void cross_entropy(const CrossEntropyShape& s, int64_t rows, const float* x, const int64_t* labels,
                   const float* probabilities, const float* weight, double* loss) {
    for (int64_t r = 0; r < rows; ++r, x += s.k) {
        const Targets target(s, probabilities ? probabilities + r * s.k : nullptr, weight);
        const float top = row_top(s.k, x), log_sum = logarithm(exponentials(s.k, x, top, nullptr));
        const double share = labels ? target.label_share(labels[r]) : 0.0f;
        loss[r] = share == 0 ? 0 : share * (log_sum - (x[labels[r]] - top));
        if (target.zero()) continue;
        loss[r] += sum_vectors(s.k, [&](int64_t j, auto lanes) {
            const vf t = target(j, lanes), terms = t * (log_sum - (lanes.load(x + j) - top));
            return select(t == 0, vf{}, terms);  // an absent class adds nothing, even with a logit of -inf
        });
    }
}

void cross_entropy_gradient(const CrossEntropyShape& s, int64_t rows, const float* x, const int64_t* labels,
                            const float* probabilities, const float* weight, const float* dy, int64_t dy_step,
                            double scale, float* dx) {
    for (int64_t r = 0; r < rows; ++r, x += s.k, dx += s.k) {
        const Targets target(s, probabilities ? probabilities + r * s.k : nullptr, weight);
        const double sum = exponentials(s.k, x, row_top(s.k, x), dx);
        const float share = labels ? target.label_share(labels[r]) : 0.0f;
        double mass = share;
        if (!target.zero()) mass += sum_vectors(s.k, [&](int64_t j, auto lanes) { return target(j, lanes); });
        const float g = static_cast<float>(dy[r * dy_step] * scale), factor = static_cast<float>(g * mass / sum);
        for_vectors(s.k, [&](int64_t j, auto lanes) {
            const vf e = lanes.load(dx + j) * factor;
            lanes.store(dx + j, target.zero() ? e : e - target(j, lanes) * g);
        });
        if (labels) dx[labels[r]] -= g * share;
    }
}

struct SquaredError {
    CK_INLINE vf operator()(vf x, vf target) const { return (x - target) * (x - target); }
    CK_INLINE vf slope(vf x, vf target) const { return 2 * (x - target); }
};
struct SmoothL1 {
    float beta;
    CK_INLINE vf operator()(vf x, vf target) const {
        const vf distance = abs(x - target);
        return select(distance < beta, distance * distance / (2 * beta), distance - beta / 2);
    }
    CK_INLINE vf slope(vf x, vf target) const {
        const vf d = x - target;
        return select(abs(d) < beta, d / beta, select(d > 0, set1(1), select(d < 0, set1(-1), d)));  // 0 and NaN stay
    }
};
struct BinaryCrossEntropy {
    CK_INLINE vf operator()(vf x, vf target) const { return max0(x) - x * target + log1p_unit(exp(-abs(x))); }
    CK_INLINE vf slope(vf x, vf target) const { return sigmoid(x) - target; }
};

// body(f) with the type of the loss
template <class Body>
CK_INLINE void visit_loss(PointwiseLoss kind, float beta, Body body) {
    switch (kind) {
        case PointwiseLoss::mse:
            return body(SquaredError{});
        case PointwiseLoss::smooth_l1:
            return body(SmoothL1{beta});
        case PointwiseLoss::bce_with_logits:
            return body(BinaryCrossEntropy{});
    }
}

double pointwise_loss(PointwiseLoss kind, float beta, int64_t n, const float* x, const float* target,
                      const float* weight, float* y) {
    double total = 0;
    visit_loss(kind, beta, [&](auto f) {
        total = sum_vectors(n, [&](int64_t i, auto lanes) {
            vf loss = f(lanes.load(x + i), lanes.load(target + i));
            if (weight) loss *= lanes.load(weight + i);
            if (y) lanes.store(y + i, loss);
            return lanes.keep(loss, 0);
        });
    });
    return total;
}

void pointwise_loss_gradient(PointwiseLoss kind, float beta, int64_t n, const float* x, const float* target,
                             const float* weight, const float* dy, int64_t dy_step, float scale, float* dx) {
    const float constant = dy_step ? 0 : *dy * scale;
    visit_loss(kind, beta, [&](auto f) {
        for_vectors(n, [&](int64_t i, auto lanes) {
            vf slope = f.slope(lanes.load(x + i), lanes.load(target + i));
            if (weight) slope *= lanes.load(weight + i);
            lanes.store(dx + i, slope * (dy_step ? lanes.load(dy + i) * scale : set1(constant)));
        });
    });
}

constexpr LossKernels kLossKernels = {cross_entropy, cross_entropy_gradient, pointwise_loss, pointwise_loss_gradient};

}  // namespace
