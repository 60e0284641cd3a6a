// The only file compiled once per ISA (CK_ISA_<name> defined). Everything in it and in the headers it includes has
// internal linkage, no standard containers and no static initialisers, and the unit exports one function: a stray
// inline function with AVX-512 code in it could otherwise serve the whole library on a CPU without AVX-512.
#include "cpu/isa/vec.h"
#include "cpu/kernels.h"

namespace {
using namespace ck;
using namespace ck::cpu;
}  // namespace

#include "cpu/isa/batch_norm.h"
#include "cpu/isa/conv2d.h"
#include "cpu/isa/depthwise.h"
#include "cpu/isa/dropout.h"
#include "cpu/isa/gemm.h"
#include "cpu/isa/grouped.h"
#include "cpu/isa/loss.h"
#include "cpu/isa/optimizer.h"
#include "cpu/isa/pixel_conv.h"
#include "cpu/isa/pointwise.h"
#include "cpu/isa/pool2d.h"
#include "cpu/isa/probe.h"
#include "cpu/isa/reduce.h"
#include "cpu/isa/resize.h"
#include "cpu/isa/softmax.h"
#include "cpu/isa/winograd.h"

#define CK_TEXT_(name) #name
#define CK_TEXT(name) CK_TEXT_(name)
#define CK_JOIN_(a, b) a##b
#define CK_JOIN(a, b) CK_JOIN_(a, b)

extern "C" __attribute__((visibility("default"))) const CpuKernels& CK_JOIN(ck_kernels_, CK_ISA)() {
    static constexpr CpuKernels table = {
        CK_TEXT(CK_ISA),   kWidth,          kFarOperands,      kLongSteps,      kPointwiseKernels, kGemmKernels,
        kConv2dKernels,    kWinograd<4, 3>, kWinograd<2, 3>,   kWinograd<2, 5>, kWinogradStrided,  kWinogradAdjoint,
        kDepthwiseKernels, kGroupedKernels, kPixelConvKernels, kPool2dKernels,  kResizeKernels,    kBatchNormKernels,
        kOptimizerKernels, kReduceKernels,  kSoftmaxKernels,   kLossKernels,    kDropoutKernels,   kProbeKernels,
    };
    return table;
}
