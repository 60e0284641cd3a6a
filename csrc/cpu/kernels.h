// The data sheet of the vector kernels: one struct per family, one CpuKernels per ISA unit. A kernel is serial and
// pure: it allocates nothing, throws nothing and starts no thread; the drivers in cpu/*.cpp cut the work and call it.
// Included by the ISA units, so: plain C-like declarations only.
#pragma once
#include "core/shapes.h"

namespace ck::cpu {

// cpu/isa/pointwise.h
struct PointwiseKernels {
    void (*unary)(UnaryOp op, float slope, int64_t n, const float* x, float* y);
    void (*unary_gradient)(UnaryOp op, float slope, int64_t n, const float* x, const float* y, const float* dy,
                           float* dx);
    // Both operands contiguous, or one of them a single value (step 0).
    void (*binary)(BinaryOp op, int64_t n, const float* a, int64_t step_a, const float* b, int64_t step_b, float* y);
};

struct CpuKernels {
    const char* isa;
    int vector_width;  // float32 lanes
    PointwiseKernels pointwise;
};

}  // namespace ck::cpu

// One exported symbol per unit.
extern "C" {
const ck::cpu::CpuKernels& ck_kernels_sse2();
const ck::cpu::CpuKernels& ck_kernels_avx2();
const ck::cpu::CpuKernels& ck_kernels_avx512();
const ck::cpu::CpuKernels& ck_kernels_neon();
}
