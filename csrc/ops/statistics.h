// What the two doors to the statistics of batch normalisation have in common.
#pragma once
#include <functional>
#include <utility>

#include "core/tensor.h"

namespace ck {

// Checks where the statistics of x [...,C] go, makes mean and variance [C], has take() find them, which also moves the
// running ones (both or neither may be null), and counts that write. Nothing is taken of an x without rows.
std::pair<Tensor, Tensor> take_statistics(const Tensor& x, Tensor* running_mean, Tensor* running_var,
                                          const std::function<void(Tensor& mean, Tensor& variance)>& take);

}  // namespace ck
