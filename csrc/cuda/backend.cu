#include "cuda/backend.h"

#include "cuda/device.h"

namespace ck::cuda {
namespace {

template <class T>
constexpr Backend<T> kTable = {
#define CK_OP(name, parameters) name<T>,
#include "core/ops.def"
#undef CK_OP
};

}  // namespace

const Backend<float>& backend_float32(int index) {
    use_device(index);
    return kTable<float>;
}

const Backend<bfloat16>& backend_bfloat16(int index) {
    use_device(index);
    return kTable<bfloat16>;
}

}  // namespace ck::cuda
