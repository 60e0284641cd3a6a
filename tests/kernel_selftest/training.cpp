// Softmax, losses, dropout, batch norm and the optimizers' steps.
#include <numeric>

#include "selftest.h"

namespace ck::selftest {
namespace {

const Reduction kReductions[] = {Reduction::none, Reduction::mean, Reduction::sum};

}  // namespace

void test_softmax() {
    for (bool log : {false, true})
        for (int64_t k : kSizes) {
            const int64_t rows = 5;
            Array x = Array::random(rows * k, -9, 9), y(rows * k);
            check("softmax", {{y, 16 * kEps, 16}}, [&](const auto& b, auto t) {
                using T = decltype(t);
                b.softmax(log, rows, k, x.as<T>(), y.as<T>());
            });
        }
}

void test_softmax_gradient() {
    for (bool log : {false, true})
        for (int64_t k : kSizes) {
            const int64_t rows = 5;
            Array y = Array::random(rows * k), dy = Array::random(rows * k), dx(rows * k);
            check("softmax_gradient", {{dx, static_cast<double>(3 * k) * kEps}}, [&](const auto& b, auto t) {
                using T = decltype(t);
                b.softmax_gradient(log, rows, k, y.as<T>(), dy.as<T>(), dx.as<T>());
            });
        }
}

// The loss (gradient = false) or its gradient, with labels and with probabilities.
static void cross_entropy(bool gradient) {
    for (Reduction reduction : kReductions)
        for (int64_t k : kSizes) {
            const int64_t rows = 6;
            const CrossEntropyShape s{rows, k, 0.125, reduction};
            const int64_t values = reduction == Reduction::none ? rows : 1;
            Array x = Array::random(rows * k, -4, 4), weight = Array::random(k, 0.5f, 1), dy = Array::random(values);
            Array probabilities = Array::random(rows * k, 0, 1), out(gradient ? rows * k : values);
            Buffer<int64_t> labels(rows);
            for (int64_t i = 0; i < rows; ++i) labels[i] = i * 5 % k;
            for (bool by_label : {true, false})
                check("cross_entropy", {{out, static_cast<double>(rows * k) * 16 * kEps, 16}},
                      [&](const auto& b, auto t) {
                          using T = decltype(t);
                          const int64_t* label = by_label ? labels.data() : nullptr;
                          const T* p = by_label ? nullptr : probabilities.as<T>();
                          const T* w = k % 2 ? weight.as<T>() : nullptr;
                          if (gradient)
                              b.cross_entropy_gradient(s, x.as<T>(), label, p, w, dy.as<T>(), out.as<T>());
                          else
                              b.cross_entropy(s, x.as<T>(), label, p, w, out.as<T>());
                      });
        }
}
void test_cross_entropy() {
    cross_entropy(false);
}
void test_cross_entropy_gradient() {
    cross_entropy(true);
}

static void pointwise_loss(bool gradient) {
    for (PointwiseLoss kind : {PointwiseLoss::mse, PointwiseLoss::smooth_l1, PointwiseLoss::bce_with_logits})
        for (Reduction reduction : kReductions)
            for (int64_t n : kSizes) {
                const PointwiseLossShape s{kind, n, 0.5, reduction};
                const int64_t values = reduction == Reduction::none ? n : 1;
                Array x = Array::random(n, -2, 2), target = Array::random(n, 0, 1), weight = Array::random(n, 0, 1);
                Array dy = Array::random(values), out(gradient ? n : values);
                check("pointwise_loss", {{out, static_cast<double>(n) * 16 * kEps}}, [&](const auto& b, auto t) {
                    using T = decltype(t);
                    const T* w = n % 2 ? weight.as<T>() : nullptr;
                    if (gradient)
                        b.pointwise_loss_gradient(s, x.as<T>(), target.as<T>(), w, dy.as<T>(), out.as<T>());
                    else
                        b.pointwise_loss(s, x.as<T>(), target.as<T>(), w, out.as<T>());
                });
            }
}
void test_pointwise_loss() {
    pointwise_loss(false);
}
void test_pointwise_loss_gradient() {
    pointwise_loss(true);
}

void test_dropout() {
    for (int64_t n : {1, 15, 17, 400, 70000}) {
        Array x = Array::random(n), y(n);
        check("dropout", {{y, 0}}, [&](const auto& b, auto t) {
            using T = decltype(t);
            b.dropout(n, PhiloxKey{3, 8}, 0.25, x.as<T>(), y.as<T>());
        });
    }
}

// x[rows,c] of less than one chunk of rows and of several, of one strip of channels and of several.
struct BatchNormSize {
    int64_t rows, c;
};
static std::vector<BatchNormSize> batch_norm_sizes() {
    std::vector<BatchNormSize> sizes = {{701, 36}, {1100, 8}, {90, 264}};
    for (int64_t c : kSizes) sizes.push_back({37, c});
    return sizes;
}

// A mean far from 0 in comparison with the deviations: squares summed as they are would leave nothing of the variance.
static void far_from_zero() {
    const int64_t rows = 600, c = 8;
    Array x = Array::random(rows * c, 1000, 1001), mean(c), variance(c);
    check("batch_norm_statistics, far from 0", {{mean, 0}, {variance, 1e-4}}, [&](const auto& b, auto t) {
        using T = decltype(t);
        b.batch_norm_statistics(rows, c, 0.1, x.as<T>(), mean.as<Param<T>>(), variance.as<Param<T>>(), nullptr,
                                nullptr);
    });
}

void test_batch_norm_statistics() {
    std::vector<BatchNormSize> sizes = batch_norm_sizes();
    for (int64_t c : kSizes) sizes.push_back({2, c});
    for (const BatchNormSize& size : sizes) {
        const int64_t rows = size.rows, c = size.c;
        Array x = Array::random(rows * c), mean(c), variance(c), running_mean(c), running_var(c);
        Array mean_before = Array::random(c), var_before = Array::random(c, 0.5f, 1);
        const double bound = static_cast<double>(rows) * kEps;
        check("batch_norm_statistics",
              {{mean, bound}, {variance, 4 * bound}, {running_mean, bound}, {running_var, 4 * bound}},
              [&](const auto& b, auto t) {
                  using T = decltype(t);
                  assign<T>(running_mean, mean_before);
                  assign<T>(running_var, var_before);
                  b.batch_norm_statistics(rows, c, 0.125, x.as<T>(), mean.as<Param<T>>(), variance.as<Param<T>>(),
                                          running_mean.as<Param<T>>(), running_var.as<Param<T>>());
              });
    }
    far_from_zero();
}

void test_batch_norm() {
    for (ActivationKind kind : {ActivationKind::none, ActivationKind::relu, ActivationKind::tanh})
        for (const BatchNormSize& size : batch_norm_sizes()) {
            const int64_t rows = size.rows, c = size.c;
            const BatchNormShape s{rows, c, 1e-3, {kind}, true};
            Array x = Array::random(rows * c), mean = Array::random(c), variance = Array::random(c, 0.5f, 1);
            Array weight = Array::random(c), bias = Array::random(c), residual = Array::random(rows * c), y(rows * c);
            check("batch_norm", {{y, 16 * kEps}}, [&](const auto& b, auto t) {
                using T = decltype(t);
                b.batch_norm(s, x.as<T>(), mean.as<Param<T>>(), variance.as<Param<T>>(),
                             c % 2 ? weight.as<Param<T>>() : nullptr, c % 3 ? bias.as<Param<T>>() : nullptr,
                             c % 5 ? residual.as<T>() : nullptr, y.as<T>());
            });
        }
}

// With a residual y is anything, for it may have been anything; without, it is what batch_norm makes of x.
static void batch_norm_gradient(const BatchNormShape& s, bool residual) {
    const int64_t n = s.rows * s.c;
    const bool active = s.activation.kind != ActivationKind::none;
    Array x = Array::random(n), mean = Array::random(s.c), variance = Array::random(s.c, 0.5f, 1);
    Array weight = Array::random(s.c), bias = Array::random(s.c), y = Array::random(n), dy = Array::random(n);
    Array dx(n), dweight(s.c), dbias(s.c), dz(active && residual ? n : 0);
    const double rows = static_cast<double>(s.rows), bound = rows * 8 * kEps;
    check("batch_norm_gradient",
          {{dx, bound, 4, 0, 2}, {dweight, bound, 4, 0, rows}, {dbias, bound, 4, 0, rows}, {dz, 4 * kEps}},
          [&](const auto& b, auto t) {
              using T = decltype(t);
              if (!residual)
                  b.batch_norm(s, x.as<T>(), mean.as<Param<T>>(), variance.as<Param<T>>(), weight.as<Param<T>>(),
                               bias.as<Param<T>>(), nullptr, y.as<T>());
              b.batch_norm_gradient(s, x.as<T>(), mean.as<Param<T>>(), variance.as<Param<T>>(), weight.as<Param<T>>(),
                                    bias.as<Param<T>>(), active ? y.as<T>() : nullptr, dy.as<T>(), dx.as<T>(),
                                    dweight.as<Param<T>>(), dbias.as<Param<T>>(),
                                    active && residual ? dz.as<T>() : nullptr);
          });
}

void test_batch_norm_gradient() {
    size_t turn = 0;
    for (bool training : {false, true})
        for (ActivationKind kind : {ActivationKind::none, ActivationKind::relu, ActivationKind::tanh}) {
            for (const BatchNormSize& size : batch_norm_sizes())
                batch_norm_gradient({size.rows, size.c, 1e-3, {kind}, training}, turn++ % 2);
            ++turn;  // what had a residual has none next time
        }
}

// One array for the parameters of a step, in this order: some begin at a multiple of 16 bytes, one is empty, and they
// are more than go into one launch on a GPU.
static std::vector<int64_t> parameter_sizes() {
    std::vector<int64_t> sizes = {70000, 400, 0, 17, 15, 1};
    sizes.insert(sizes.end(), 70, 5);
    return sizes;
}

// {update(first element, size), ...}
template <class F>
static auto updates_of(F update) {
    std::vector<decltype(update(0, 0))> updates;
    int64_t at = 0;
    for (int64_t n : parameter_sizes()) {
        updates.push_back(update(at, n));
        at += n;
    }
    return updates;
}

void test_sgd_step() {
    const std::vector<int64_t> sizes = parameter_sizes();
    const int64_t n = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
    for (bool nesterov : {false, true})
        for (double momentum : {0.0, 0.9}) {
            const SgdSettings s{0.1, momentum, nesterov ? 0.01 : 0.0, nesterov};
            Array p(n), p_before = Array::random(n), grad = Array::random(n), v(n), v_before = Array::random(n);
            check("sgd_step", {{p, 8 * kEps}, {v, 8 * kEps}}, [&](const auto& b, auto t) {
                using T = decltype(t);
                assign<T>(p, p_before);
                assign<T>(v, v_before);
                T *param = p.as<T>(), *slope = grad.as<T>(), *velocity = v.as<T>();
                const auto updates = updates_of([&](int64_t at, int64_t size) {
                    return SgdUpdate<T>{size, param + at, slope + at, momentum != 0 ? velocity + at : nullptr};
                });
                b.sgd_step(s, static_cast<int64_t>(updates.size()), updates.data());
            });
        }
}

void test_adam_step() {
    const std::vector<int64_t> sizes = parameter_sizes();
    const int64_t n = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
    for (bool decoupled : {false, true}) {
        const AdamSettings s{0.1, 0.9, 0.999, 1e-8, 0.01, decoupled, 3};
        Array p(n), p_before = Array::random(n), grad = Array::random(n), m(n), m_before = Array::random(n), v(n);
        Array v_before = Array::random(n, 0.1f, 1);
        check("adam_step", {{p, 16 * kEps}, {m, 8 * kEps}, {v, 8 * kEps}}, [&](const auto& b, auto t) {
            using T = decltype(t);
            assign<T>(p, p_before);
            assign<T>(m, m_before);
            assign<T>(v, v_before);
            T *param = p.as<T>(), *slope = grad.as<T>(), *first = m.as<T>(), *second = v.as<T>();
            const auto updates = updates_of([&](int64_t at, int64_t size) {
                return AdamUpdate<T>{size, param + at, slope + at, first + at, second + at};
            });
            b.adam_step(s, static_cast<int64_t>(updates.size()), updates.data());
        });
    }
}

}  // namespace ck::selftest
