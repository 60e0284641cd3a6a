// Driver of a convolution with the 2x2 max-pooling after it. Winograd's tiles hold whole windows: the image between
// the two, four times as large as the result, and its gradient are never written. Other algorithms write it to scratch.
#include "core/allocator.h"
#include "cpu/backend.h"
#include "cpu/conv_choice.h"

namespace ck::cpu {
namespace {

bool by_tiles(ConvAlgorithm algorithm) {
    return algorithm == ConvAlgorithm::winograd4 || algorithm == ConvAlgorithm::winograd2;
}

int64_t image_size(const Conv2dShape& s) {
    return s.n * s.p * s.q * s.o;
}

}  // namespace

void conv2d_max_pool2d(const Conv2dShape& s, const float* x, const float* w, DerivedCache* packed, const float* bias,
                       Activation act, float* y, uint8_t* argmax) {
    const ConvAlgorithm algorithm = choose_conv(ConvPass::forward, s);
    const bool in_registers = act.kind == ActivationKind::none || act.kind == ActivationKind::relu;
    if (by_tiles(algorithm) && in_registers) {
        return winograd_conv(winograd_tile_size(algorithm, s), as_direct(s), {x, nullptr}, w, false, packed,
                             {bias, nullptr, act}, {y, true, argmax});
    }
    Scratch<float> z(image_size(s));
    conv2d(s, x, w, packed, bias, nullptr, act, z.data());
    max_pool2d(halving_pool(s), z.data(), y, argmax);
}

void conv2d_max_pool2d_data_gradient(const Conv2dShape& s, const float* dy, const uint8_t* argmax, const float* w,
                                     DerivedCache* packed, float* dx) {
    const ConvAlgorithm algorithm = choose_conv(ConvPass::data, s);
    if (by_tiles(algorithm)) {
        return winograd_conv(winograd_tile_size(algorithm, s), as_rotated(s), {dy, argmax}, w, true, packed, {},
                             {dx, false, nullptr});
    }
    Scratch<float> dz(image_size(s));
    max_pool2d_gradient(halving_pool(s), dy, argmax, dz.data());
    conv2d_data_gradient(s, dz.data(), w, packed, nullptr, nullptr, Activation{}, dx);
}

void conv2d_max_pool2d_weight_gradient(const Conv2dShape& s, const float* x, const float* dy, const uint8_t* argmax,
                                       float* dw) {
    const ConvAlgorithm algorithm = choose_conv(ConvPass::weights, s);
    if (s.n > 0 && by_tiles(algorithm))
        return winograd_weight_gradient(winograd_tile_size(algorithm, s), s, x, {dy, argmax}, dw);
    Scratch<float> dz(image_size(s));
    max_pool2d_gradient(halving_pool(s), dy, argmax, dz.data());
    conv2d_weight_gradient(s, x, dz.data(), dw);
}

}  // namespace ck::cpu
