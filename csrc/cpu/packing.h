// Names of the forms in which drivers keep packed weights (core/derived.h).
#pragma once
#include "core/derived.h"
#include "cpu/dispatch.h"

namespace ck::cpu {

enum class Packing : int64_t {
    direct_conv,
    direct_conv_gradient,
    gemm_b,
    winograd,
    depthwise,
    depthwise_gradient,
    grouped,
    grouped_gradient
};

// `layout`: every number that the packed form depends on, besides the weights and the active vector unit.
inline uint64_t packing_key(Packing kind, std::initializer_list<int64_t> layout) {
    const auto unit = reinterpret_cast<intptr_t>(&kernels());
    return derived_key({static_cast<int64_t>(kind), unit, static_cast<int64_t>(derived_key(layout))});
}

}  // namespace ck::cpu
