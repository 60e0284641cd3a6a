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

constexpr Backend<int64_t> kIntegers = {
#define CK_OP(name, parameters)
#define CK_NUMBER_OP(name, parameters) name<int64_t>,
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

const Backend<int64_t>& backend_int64(int index) {
    use_device(index);
    return kIntegers;
}

}  // namespace ck::cuda
