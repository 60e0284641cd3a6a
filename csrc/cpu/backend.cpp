#include "cpu/backend.h"

#include "cpu/dispatch.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {
namespace {

const Backend<float> kFast = {
#define CK_OP(name, parameters) name,
#include "core/ops.def"
#undef CK_OP
};

template <class T>
constexpr Backend<T> kReference = {
#define CK_OP(name, parameters) reference::name<T>,
#include "core/ops.def"
#undef CK_OP
};

constexpr Backend<int64_t> kIntegers = {
#define CK_OP(name, parameters)
#define CK_NUMBER_OP(name, parameters) reference::name<int64_t>,
#include "core/ops.def"
#undef CK_OP
};

}  // namespace

const Backend<float>& backend_float32() {
    return reference_active() ? kReference<float> : kFast;
}
const Backend<double>& backend_float64() {
    return kReference<double>;
}
const Backend<int64_t>& backend_int64() {
    return kIntegers;
}

}  // namespace ck::cpu
