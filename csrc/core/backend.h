// The table of backend ops, one per device and element type, made from ops.def.
#pragma once
#include "core/dtype.h"
#include "core/shapes.h"

namespace ck {

class DerivedCache;

// What belongs to channels rather than to elements, such as batch norm's statistics, keeps float32 beside bfloat16.
template <class T>
struct ParamOf {
    using type = T;
};
template <>
struct ParamOf<bfloat16> {
    using type = float;
};
template <class T>
using Param = typename ParamOf<T>::type;

template <class T>
struct Backend {
#define CK_OP(name, parameters) void(*name) parameters;
#include "core/ops.def"
#undef CK_OP
};

// Of counts, labels and masks, which are cast to int64.
template <>
struct Backend<int64_t> {
    using T = int64_t;
#define CK_OP(name, parameters)
#define CK_NUMBER_OP(name, parameters) void(*name) parameters;
#include "core/ops.def"
#undef CK_OP
};

// The type of each op, to declare a backend's functions: `Signature<float>::unary unary;`
template <class T>
struct Signature {
#define CK_OP(name, parameters) using name = void parameters;
#include "core/ops.def"
#undef CK_OP
};

}  // namespace ck
