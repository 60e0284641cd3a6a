#include "ops/backend.h"
#include "ops/ops.h"

namespace ck {

Tensor dropout(const Tensor& x, PhiloxKey key, double p) {
    CK_CHECK(p >= 0 && p <= 1, "dropout", "p must be in [0,1]. Received: p=", p, ".");
    Tensor y = Tensor::empty("dropout", x.shape(), x.dtype(), x.device());
    visit_floating("dropout", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device()).dropout(x.numel(), key, p, x.data<T>(), y.data<T>());
    });
    return y;
}

}  // namespace ck
