// Activations on a vector, for the epilogues of the matrix kernels.
#pragma once
#include "core/shapes.h"
#include "cpu/isa/vec.h"

namespace {

// tanh and sigmoid are not done here: their drivers run over the result once more (see cpu/matmul.cpp).
CK_INLINE vf activate(Activation act, vf v) {
    switch (act.kind) {
        case ActivationKind::relu:
            return max0(v);
        case ActivationKind::relu6:
            return select(v > 6, set1(6), max0(v));
        case ActivationKind::leaky_relu:
            return select(v < 0, v * static_cast<float>(act.slope), v);
        default:
            return v;
    }
}

}  // namespace
