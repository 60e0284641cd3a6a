// The CPU's tables: float32 by the vector units, or by the plain loops when the ISA is "reference"; float64 and int64
// always by the plain loops.
#pragma once
#include "core/backend.h"

namespace ck::cpu {

const Backend<float>& backend_float32();
const Backend<double>& backend_float64();
const Backend<int64_t>& backend_int64();

// Drivers: one function per line of ops.def, defined in cpu/<family>.cpp.
#define CK_OP(name, parameters) Signature<float>::name name;
#include "core/ops.def"
#undef CK_OP

}  // namespace ck::cpu
