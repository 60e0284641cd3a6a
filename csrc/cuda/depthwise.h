// Depthwise convolution: a group for every channel, of one filter.
#pragma once
#include "core/backend.h"

namespace ck::cuda {

// Whether these launchers take the problem: filters of more taps than shared memory holds are left to the others.
bool depthwise_applies(const Conv2dShape& s);

// The arguments are those of conv2d and its gradients in ops.def.
template <class T>
void depthwise_conv2d(const Conv2dShape& s, const T* x, const T* w, const T* bias, const T* residual, Activation act,
                      T* y);
template <class T>
void depthwise_conv2d_data_gradient(const Conv2dShape& s, const T* dy, const T* w, const T* bias, const T* residual,
                                    Activation act, T* dx);
template <class T>
void depthwise_conv2d_weight_gradient(const Conv2dShape& s, const T* x, const T* dy, T* dw);

}  // namespace ck::cuda
