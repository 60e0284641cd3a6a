// A convolution and the 2x2 max-pooling after it: one after the other.
#include <vector>

#include "cpu/reference/reference.h"

namespace ck::cpu::reference {

template <class T>
void conv2d_max_pool2d(const Conv2dShape& s, const T* x, const T* w, DerivedCache* packed, const T* bias,
                       Activation act, T* y, uint8_t* argmax) {
    std::vector<T> z(s.n * s.p * s.q * s.o);
    conv2d<T>(s, x, w, packed, bias, nullptr, act, z.data());
    max_pool2d<T>(halving_pool(s), z.data(), y, argmax);
}

template <class T>
void conv2d_max_pool2d_data_gradient(const Conv2dShape& s, const T* dy, const uint8_t* argmax, const T* w,
                                     DerivedCache* packed, T* dx) {
    std::vector<T> dz(s.n * s.p * s.q * s.o);
    max_pool2d_gradient<T>(halving_pool(s), dy, argmax, dz.data());
    conv2d_data_gradient<T>(s, dz.data(), w, packed, nullptr, nullptr, Activation{}, dx);
}

template <class T>
void conv2d_max_pool2d_weight_gradient(const Conv2dShape& s, const T* x, const T* dy, const uint8_t* argmax, T* dw) {
    std::vector<T> dz(s.n * s.p * s.q * s.o);
    max_pool2d_gradient<T>(halving_pool(s), dy, argmax, dz.data());
    conv2d_weight_gradient<T>(s, x, dz.data(), dw);
}

}  // namespace ck::cpu::reference

CK_INSTANTIATE(conv2d_max_pool2d)
CK_INSTANTIATE(conv2d_max_pool2d_data_gradient)
CK_INSTANTIATE(conv2d_max_pool2d_weight_gradient)
