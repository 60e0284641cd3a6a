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

}  // namespace

const Backend<float>& backend_float32() {
    return reference_active() ? kReference<float> : kFast;
}
const Backend<double>& backend_float64() {
    return kReference<double>;
}

}  // namespace ck::cpu
