// The CUDA tables in the emulation. Every case runs with arrays that begin at a multiple of 16 bytes and with arrays
// that do not, in float32, in bfloat16, and where products are summed with both settings of the precision and with
// integers, whose sums are exact whatever rounds the factors and in whatever order.
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

template <class T, class Run>
void compare(const char* name, const char* where, const Backend<T>& table, Run run, void* op,
             std::initializer_list<Output> outputs, Bounds beyond) {
    for (const Guard& guard : kGuards) {
        for (const Output& output : outputs) output.values.clear_floats();
        place_operands(&kMemory, guard);
        try {
            run(op, table);
            for (const Output& output : outputs) output.values.fetch_floats();
        } catch (const std::exception& error) {
            fail(name, where, error.what(), 0, 0, 0);
        }
        place_operands(nullptr, {});
        for (const Output& output : outputs) {
            count_check();
            if (!output.values.guards_intact()) fail(name, where, "wrote outside", output.values.size(), 0, 0);
            const float* got = output.values.floats();
            const double* want = output.values.doubles();
            for (int64_t i = 0; i < output.values.size(); ++i)
                if (!close(got[i], want[i], output, beyond)) fail(name, where, "value", i, got[i], want[i]);
        }
    }
}

void compare_all(const char* name, const std::string& inputs, const Runs& runs, void* op,
                 std::initializer_list<Output> outputs, Bounds fast) {
    const bool products = outputs.begin()->products > 0;
    compare(name, ("cuda float32" + inputs).c_str(), cuda::backend_float32(0), runs.with_float, op, outputs, fast);
    if (!products) return;
    set_precision(Precision::precise);
    compare(name, ("cuda float32, precise" + inputs).c_str(), cuda::backend_float32(0), runs.with_float, op, outputs,
            {});
    set_precision(Precision::fast);
}

void compare_halves(const char* name, const std::string& inputs, const Runs& runs, void* op,
                    std::initializer_list<Output> outputs) {
    compare(name, ("cuda bfloat16" + inputs).c_str(), cuda::backend_bfloat16(0), runs.with_bfloat16, op, outputs,
            {0, kHalfRounding});
}

}  // namespace

void run_on_device(const char* name, const Runs& runs, void* op, std::initializer_list<Output> outputs) {
    compare_all(name, "", runs, op, outputs, {kProductRounding, 0});
    transform_operands([](float x) { return static_cast<float>(bfloat16(x)); });
    runs.with_double(op, cpu::backend_float64());
    compare_halves(name, "", runs, op, outputs);
    if (outputs.begin()->products == 0) return;
    transform_operands([](float x) { return std::round(4 * x); });
    runs.with_double(op, cpu::backend_float64());
    compare_all(name, ", integers", runs, op, outputs, {});
    compare_halves(name, ", integers", runs, op, outputs);
}

}  // namespace ck::selftest
