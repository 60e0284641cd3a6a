// The CUDA tables in the emulation, in float32 and bfloat16, with arrays that begin at a multiple of 16 bytes and with
// arrays that do not. Where products are summed, also with both settings of the precision and with integers, whose sums
// are exact whatever rounds the factors and in whatever order; the emulation needs seconds for what a GPU does in
// microseconds, so there each case takes one of these variants, unless all are asked for.
#include <cuda_runtime.h>

#include <cmath>
#include <string>

#include "core/check.h"
#include "core/precision.h"
#include "cpu/backend.h"
#include "cuda/backend.h"
#include "selftest.h"

namespace ck::selftest {
namespace {

// Of a stored bfloat16, and of a factor rounded to TF32; 2 factors a product.
constexpr double kHalfRounding = 0x1p-8, kProductRounding = 2 * 0x1p-11;

void must(cudaError_t status) {
    if (status != cudaSuccess) throw DeviceError(std::string("[self-test] ") + cudaGetErrorString(status));
}

// One more byte than none: a pointer to nothing must be of the device.
const DeviceMemory kMemory = {[](int64_t bytes) {
                                  void* block = nullptr;
                                  must(cudaMalloc(&block, static_cast<size_t>(bytes ? bytes : 1)));
                                  return block;
                              },
                              [](void* block) { must(cudaFree(block)); },
                              [](void* dst, const void* src, int64_t bytes) {
                                  must(cudaMemcpy(dst, src, static_cast<size_t>(bytes), cudaMemcpyHostToDevice));
                              },
                              [](void* dst, const void* src, int64_t bytes) {
                                  must(cudaDeviceSynchronize());
                                  must(cudaMemcpy(dst, src, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost));
                              }};

// Multiples of 16 bytes; and not so, the end being that of the memory.
constexpr Guard kGuards[] = {{16, 16}, {17, 0}};

struct Variant {
    const char* where;
    bool halves;
    Precision precision;
    float (*input)(float);  // what is done to the numbers before; null: nothing
};
float half(float x) {
    return static_cast<float>(bfloat16(x));
}
float integer(float x) {
    return std::round(4 * x);
}
constexpr Variant kPlain[] = {{"cuda float32", false, Precision::fast, nullptr},
                              {"cuda bfloat16", true, Precision::fast, half}};
constexpr Variant kProducts[] = {{"cuda float32", false, Precision::fast, nullptr},
                                 {"cuda float32, precise", false, Precision::precise, nullptr},
                                 {"cuda bfloat16", true, Precision::fast, half},
                                 {"cuda float32, integers", false, Precision::fast, integer},
                                 {"cuda float32, precise, integers", false, Precision::precise, integer},
                                 {"cuda bfloat16, integers", true, Precision::fast, integer}};

void run(const Variant& variant, const Runs& runs, void* op) {
    set_precision(variant.precision);
    if (variant.halves)
        runs.with_bfloat16(op, cuda::backend_bfloat16(0));
    else
        runs.with_float(op, cuda::backend_float32(0));
}

void compare(const char* name, const Variant& variant, const Guard& guard, const Runs& runs, void* op,
             std::initializer_list<Output> outputs) {
    for (const Output& output : outputs) output.values.clear_floats();
    place_operands(&kMemory, guard);
    try {
        run(variant, runs, op);
        for (const Output& output : outputs) output.values.fetch_floats();
    } catch (const std::exception& error) {
        fail(name, variant.where, error.what(), 0, 0, 0);
    }
    set_precision(Precision::fast);
    place_operands(nullptr, {});
    for (const Output& output : outputs) {
        count_check();
        if (!output.values.guards_intact()) fail(name, variant.where, "wrote outside", output.values.size(), 0, 0);
        Bounds beyond;
        if (variant.halves)
            beyond = {kHalfRounding * output.kept, kHalfRounding};
        else if (variant.precision == Precision::fast && variant.input != integer)
            beyond = {kProductRounding * output.products, 0};
        const float* got = output.values.floats();
        const double* want = output.values.doubles();
        for (int64_t i = 0; i < output.values.size(); ++i)
            if (!close(got[i], want[i], output, beyond)) fail(name, variant.where, "value", i, got[i], want[i]);
    }
}

}  // namespace

void run_on_device(const char* name, const Runs& runs, void* op, std::initializer_list<Output> outputs, bool all) {
    const bool products = outputs.begin()->products > 0;
    const Variant* variants = products ? kProducts : kPlain;
    const int count = products ? 6 : 2;
    // Scrambled, for the cases of a test are periodic in what they vary.
    static uint32_t turn = 0;
    const uint32_t chosen = ++turn * 2654435761u >> 8;
    float (*input)(float) = nullptr;  // what has been done
    for (int i = 0; i < count; ++i)
        for (int g = 0; g < 2; ++g) {
            if (products && !all && chosen % 12 != static_cast<uint32_t>(2 * i + g)) continue;
            if (variants[i].input != input) {
                input = variants[i].input;
                transform_operands(input);
                runs.with_double(op, cpu::backend_float64());
            }
            compare(name, variants[i], kGuards[g], runs, op, outputs);
        }
}

}  // namespace ck::selftest
