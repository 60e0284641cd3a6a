// What each unary, binary, comparison, activation and pointwise loss function is: for the plain loops and for CUDA's
// kernels, whose compiler takes constexpr functions of the host.
#pragma once
#include <cmath>

#include "core/shapes.h"

namespace ck {

template <class T>
constexpr T sigmoid(T x) {
    const T e = std::exp(-std::abs(x));  // cannot overflow
    return (x >= 0 ? T(1) : e) / (1 + e);
}

template <class T>
constexpr T unary_value(UnaryOp op, T slope, T x) {
    switch (op) {
        case UnaryOp::negate:
            return -x;
        case UnaryOp::exp:
            return std::exp(x);
        case UnaryOp::log:
            return std::log(x);
        case UnaryOp::sqrt:
            return std::sqrt(x);
        case UnaryOp::abs:
            return std::abs(x);
        case UnaryOp::relu:
            return x <= 0 ? T(0) : x;  // NaN passes
        case UnaryOp::relu6:
            return x <= 0 ? T(0) : x > 6 ? T(6) : x;
        case UnaryOp::leaky_relu:
            return x < 0 ? slope * x : x;
        case UnaryOp::tanh:
            return std::tanh(x);
        case UnaryOp::sigmoid:
            return sigmoid(x);
    }
    return x;
}

// dy * f'(x), with y = f(x). At a kink the left derivative: 0 for relu at 0, `slope` for leaky_relu; 0 for abs.
template <class T>
constexpr T unary_gradient_value(UnaryOp op, T slope, T x, T y, T dy) {
    switch (op) {
        case UnaryOp::negate:
            return -dy;
        case UnaryOp::exp:
            return dy * y;
        case UnaryOp::log:
            return dy / x;
        case UnaryOp::sqrt:
            return dy / (y + y);
        case UnaryOp::abs:
            return x > 0 ? dy : x < 0 ? -dy : x * 0;
        case UnaryOp::relu:
            return y <= 0 ? T(0) : dy;
        case UnaryOp::relu6:
            return y <= 0 || y >= 6 ? T(0) : dy;
        case UnaryOp::leaky_relu:
            return x <= 0 ? slope * dy : dy;
        case UnaryOp::tanh:
            return dy * (1 - y * y);
        case UnaryOp::sigmoid:
            return dy * (y * (1 - y));
    }
    return dy;
}

constexpr UnaryOp unary_of(ActivationKind kind) {  // kind != none
    switch (kind) {
        case ActivationKind::relu6:
            return UnaryOp::relu6;
        case ActivationKind::leaky_relu:
            return UnaryOp::leaky_relu;
        case ActivationKind::tanh:
            return UnaryOp::tanh;
        case ActivationKind::sigmoid:
            return UnaryOp::sigmoid;
        default:
            return UnaryOp::relu;
    }
}

template <class T>
constexpr T activate(Activation act, T x) {
    return act.kind == ActivationKind::none ? x : unary_value<T>(unary_of(act.kind), T(act.slope), x);
}

// dy * activation'(z) from y = activation(z) alone: leaky_relu keeps the sign of z because its slope is positive.
template <class T>
constexpr T activation_gradient(Activation act, T y, T dy) {
    return act.kind == ActivationKind::none ? dy : unary_gradient_value<T>(unary_of(act.kind), T(act.slope), y, y, dy);
}

template <class T>
constexpr T binary_value(BinaryOp op, T a, T b) {
    switch (op) {
        case BinaryOp::add:
            return a + b;
        case BinaryOp::subtract:
            return a - b;
        case BinaryOp::multiply:
            return a * b;
        case BinaryOp::divide:
            return a / b;
        case BinaryOp::power:
            return std::pow(a, b);
    }
    return a;
}

// Integers wrap around, which unsigned ones alone may do; the front door refuses what else there is.
template <>
constexpr int64_t binary_value(BinaryOp op, int64_t a, int64_t b) {
    const uint64_t x = static_cast<uint64_t>(a), y = static_cast<uint64_t>(b);
    return static_cast<int64_t>(op == BinaryOp::add ? x + y : op == BinaryOp::subtract ? x - y : x * y);
}

template <class T>
constexpr bool compare_value(CompareOp op, T a, T b) {
    switch (op) {
        case CompareOp::equal:
            return a == b;
        case CompareOp::not_equal:
            return a != b;
        case CompareOp::less:
            return a < b;
        case CompareOp::less_equal:
            return a <= b;
        case CompareOp::greater:
            return a > b;
        case CompareOp::greater_equal:
            return a >= b;
    }
    return false;
}

template <class T>
constexpr T pointwise_loss_value(PointwiseLoss kind, T beta, T x, T target) {
    const T difference = x - target, distance = std::abs(difference);
    switch (kind) {
        case PointwiseLoss::mse:
            return difference * difference;
        case PointwiseLoss::smooth_l1:
            return distance < beta ? distance * distance / (2 * beta) : distance - beta / 2;
        case PointwiseLoss::bce_with_logits:  // -t log(sigmoid(x)) - (1-t) log(1-sigmoid(x)) without overflow
            return (x <= 0 ? T(0) : x) - x * target + std::log1p(std::exp(-std::abs(x)));
    }
    return 0;
}

// d loss / dx
template <class T>
constexpr T pointwise_loss_slope(PointwiseLoss kind, T beta, T x, T target) {
    const T difference = x - target;
    switch (kind) {
        case PointwiseLoss::mse:
            return 2 * difference;
        case PointwiseLoss::smooth_l1:
            if (std::abs(difference) < beta) return difference / beta;
            return difference > 0 ? T(1) : difference < 0 ? T(-1) : difference;  // 0 and NaN stay
        case PointwiseLoss::bce_with_logits:
            return sigmoid(x) - target;
    }
    return 0;
}

}  // namespace ck
