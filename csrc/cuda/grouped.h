// Convolution in groups, with its gradients; conv2d and its gradients call these for more than one group.
#pragma once
#include "core/backend.h"

namespace ck::cuda {

// The arguments are those of conv2d and its gradients in ops.def.
template <class T>
void grouped_conv2d(const Conv2dShape& s, const T* x, const T* w, const T* bias, const T* residual, Activation act,
                    T* y);
template <class T>
void grouped_conv2d_data_gradient(const Conv2dShape& s, const T* dy, const T* w, const T* bias, const T* residual,
                                  Activation act, T* dx);
template <class T>
void grouped_conv2d_weight_gradient(const Conv2dShape& s, const T* x, const T* dy, T* dw);

}  // namespace ck::cuda
