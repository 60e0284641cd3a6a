// Activations on vectors: y = f(z) and dz = dy f'(z) from y, one type for each.
#pragma once
#include "core/shapes.h"
#include "cpu/isa/vec.h"
#include "cpu/isa/vec_math.h"

namespace {

struct Identity {
    CK_INLINE vf operator()(vf z) const { return z; }
    CK_INLINE vf gradient(vf, vf dy) const { return dy; }
};
struct Relu {
    CK_INLINE vf operator()(vf z) const { return max0(z); }
    CK_INLINE vf gradient(vf y, vf dy) const { return select(y <= 0, vf{}, dy); }
};
struct Relu6 {
    CK_INLINE vf operator()(vf z) const { return select(z > 6, set1(6), max0(z)); }
    CK_INLINE vf gradient(vf y, vf dy) const { return select((y <= 0) | (y >= 6), vf{}, dy); }
};
struct LeakyRelu {
    float slope;
    CK_INLINE vf operator()(vf z) const { return select(z < 0, z * slope, z); }
    CK_INLINE vf gradient(vf y, vf dy) const { return select(y <= 0, dy * slope, dy); }
};
struct Tanh {
    CK_INLINE vf operator()(vf z) const { return tanh(z); }
    CK_INLINE vf gradient(vf y, vf dy) const { return dy * (1 - y * y); }
};
struct Sigmoid {
    CK_INLINE vf operator()(vf z) const { return sigmoid(z); }
    CK_INLINE vf gradient(vf y, vf dy) const { return dy * (y * (1 - y)); }
};

// body(f) with the type of the activation: chosen once, outside the loops.
template <class Body>
CK_INLINE void visit_activation(Activation act, Body body) {
    switch (act.kind) {
        case ActivationKind::none:
            return body(Identity{});
        case ActivationKind::relu:
            return body(Relu{});
        case ActivationKind::relu6:
            return body(Relu6{});
        case ActivationKind::leaky_relu:
            return body(LeakyRelu{static_cast<float>(act.slope)});
        case ActivationKind::tanh:
            return body(Tanh{});
        case ActivationKind::sigmoid:
            return body(Sigmoid{});
    }
}

// A function of its own: a register tile holds `activate` once per register.
__attribute__((noinline)) vf activate_by_exp(ActivationKind kind, vf v) {
    return kind == ActivationKind::tanh ? tanh(v) : sigmoid(v);
}

// For register tiles, where the activation is chosen after the loops.
CK_INLINE vf activate(Activation act, vf v) {
    switch (act.kind) {
        case ActivationKind::none:
            return v;
        case ActivationKind::relu:
            return Relu{}(v);
        case ActivationKind::relu6:
            return Relu6{}(v);
        case ActivationKind::leaky_relu:
            return LeakyRelu{static_cast<float>(act.slope)}(v);
        default:
            return activate_by_exp(act.kind, v);
    }
}

}  // namespace
