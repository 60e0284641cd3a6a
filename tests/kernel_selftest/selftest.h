// Runs an op on every ISA of this machine, and on the emulated GPU where it is built in, and compares it with the plain
// loops in float64, from the same numbers. Without Python, so that it also runs cross-compiled under an emulator.
#pragma once
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>

#include "core/backend.h"
#include "operands.h"

namespace ck::selftest {

constexpr double kEps = std::numeric_limits<float>::epsilon();
constexpr float kInf = std::numeric_limits<float>::infinity();

struct Output {
    Array& values;
    double bound;         // largest allowed |float - double|, of values near 1 or less ...
    double share = 4;     // ... plus so many roundings of the value itself
    double products = 0;  // how many products of two factors up to 1 it sums, where tensor cores may round the factors
    double kept = 0;      // how large the intermediate values are that a bfloat16 op may keep as bfloat16
};

// The op with the table of each element type.
struct Runs {
    void (*with_float)(void* op, const Backend<float>&);
    void (*with_double)(void* op, const Backend<double>&);
    void (*with_bfloat16)(void* op, const Backend<bfloat16>&);
};
void run_everywhere(const char* name, const Runs& runs, void* op, std::initializer_list<Output> outputs);

// op(backend, T{}) fills the outputs' as<T>() from its inputs' as<T>().
template <class Op>
void check(const char* name, std::initializer_list<Output> outputs, Op op) {
    Runs runs{};
    runs.with_float = [](void* f, const Backend<float>& b) { (*static_cast<Op*>(f))(b, float{}); };
    runs.with_double = [](void* f, const Backend<double>& b) { (*static_cast<Op*>(f))(b, double{}); };
#if defined(CK_SELFTEST_CUDA)
    runs.with_bfloat16 = [](void* f, const Backend<bfloat16>& b) { (*static_cast<Op*>(f))(b, bfloat16{}); };
#endif
    run_everywhere(name, runs, &op, outputs);
}

// Whether the checks that follow run on the GPU too: not those that repeat a case for the CPU's sake.
void run_on_cuda(bool wanted);

// How often an op runs in a case whose packed operands matter: on the CPU the third use finds them packed.
template <class T>
int uses() {
    return std::is_same_v<T, float> && !operands_on_device() ? 3 : 1;
}

// One tile, its neighbours and more of every vector width and register tile: 4, 6, 7, 8, 14, 16, 32, 64.
constexpr int64_t kSizes[] = {1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 31, 33, 53, 65};

// ---- for main.cpp and cuda.cpp

struct Bounds {        // beyond what Output allows
    double bound = 0;  // of values near 1
    double share = 0;  // of the value
};
bool close(double got, double want, const Output& output, Bounds beyond);
void count_check();
void fail(const char* name, const char* where, const char* what, int64_t i, double got, double want);
void run_on_device(const char* name, const Runs& runs, void* op, std::initializer_list<Output> outputs, bool all);

// One test per line of ops.def: an op without one does not link.
#define CK_OP(name, parameters) void test_##name();
#include "core/ops.def"
#undef CK_OP

}  // namespace ck::selftest
