// Plain loops, one per op: the definition of what the op computes, the oracle of every fast path, the float64 path and
// the fallback. Serial; written to be read, not to be fast. Each family defines its templates in <family>.cpp and
// instantiates them for float and double.
#pragma once
#include "core/backend.h"

namespace ck::cpu::reference {

#define CK_OP(name, parameters) \
    template <class T>          \
    void name parameters;
#include "core/ops.def"
#undef CK_OP

}  // namespace ck::cpu::reference

// Closes a family's file: CK_INSTANTIATE(unary) for float and double.
#define CK_INSTANTIATE(name)                             \
    namespace ck::cpu::reference {                       \
    template ::ck::Signature<float>::name name<float>;   \
    template ::ck::Signature<double>::name name<double>; \
    }
// And for int64, as ops.def says.
#define CK_INSTANTIATE_INT64(name) template ::ck::Signature<int64_t>::name ck::cpu::reference::name<int64_t>;
