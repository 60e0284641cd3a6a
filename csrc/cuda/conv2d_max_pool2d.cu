// A convolution and the 2x2 max-pooling after it: one after the other.
#include "cuda/backend.h"
#include "cuda/launch.h"

namespace ck::cuda {

template <class T>
void conv2d_max_pool2d(const Conv2dShape& s, const T* x, const T* w, DerivedCache* packed, const T* bias,
                       Activation act, T* y, uint8_t* argmax) {
    const Scratch<T> z({"conv2d_max_pool2d", {s.n, s.p, s.q, s.o}}, s.n * s.p * s.q * s.o);
    conv2d<T>(s, x, w, packed, bias, nullptr, act, z.data());
    max_pool2d<T>(halving_pool(s), z.data(), y, argmax);
}

template <class T>
void conv2d_max_pool2d_data_gradient(const Conv2dShape& s, const T* dy, const uint8_t* argmax, const T* w,
                                     DerivedCache* packed, T* dx) {
    const Scratch<T> dz({"conv2d_max_pool2d", {s.n, s.p, s.q, s.o}}, s.n * s.p * s.q * s.o);
    max_pool2d_gradient<T>(halving_pool(s), dy, argmax, dz.data());
    conv2d_data_gradient<T>(s, dz.data(), w, packed, nullptr, nullptr, Activation{}, dx);
}

template <class T>
void conv2d_max_pool2d_weight_gradient(const Conv2dShape& s, const T* x, const T* dy, const uint8_t* argmax, T* dw) {
    const Scratch<T> dz({"conv2d_max_pool2d", {s.n, s.p, s.q, s.o}}, s.n * s.p * s.q * s.o);
    max_pool2d_gradient<T>(halving_pool(s), dy, argmax, dz.data());
    conv2d_weight_gradient<T>(s, x, dz.data(), dw);
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(conv2d_max_pool2d)
CK_CUDA_INSTANTIATE(conv2d_max_pool2d_data_gradient)
CK_CUDA_INSTANTIATE(conv2d_max_pool2d_weight_gradient)
