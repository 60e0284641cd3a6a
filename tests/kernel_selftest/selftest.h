// Runs an op on every ISA of this machine and compares it with the plain loops in float64, from the same numbers.
// Without Python, so that it also runs cross-compiled under an emulator.
#pragma once
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <vector>

#include "cpu/backend.h"

namespace ck::selftest {

constexpr double kEps = std::numeric_limits<float>::epsilon();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// The same numbers as float and as double. The floats lie between guards: a kernel that reads a NaN guard spoils its
// result, one that writes a guard is reported. Their address is a multiple of 4 bytes only.
class Array {
  public:
    explicit Array(int64_t n);
    static Array random(int64_t n, float low = -1, float high = 1);  // all different
    static Array of(std::initializer_list<float> values);

    int64_t size() const { return size_; }
    float* floats() { return float_.data() + kGuard; }
    double* doubles() { return double_.data(); }
    template <class T>
    T* as();
    void set(int64_t i, float value);
    void clear_floats();  // NaN: what a kernel forgets to write shows
    bool guards_intact() const;

  private:
    static constexpr int64_t kGuard = 17;
    int64_t size_;
    std::vector<float> float_;
    std::vector<double> double_;
};
template <>
inline float* Array::as<float>() {
    return floats();
}
template <>
inline double* Array::as<double>() {
    return doubles();
}

struct Output {
    Array& values;
    double bound;      // largest allowed |float - double|, of values near 1 or less ...
    double share = 4;  // ... plus so many roundings of the value itself
};

using RunFloat = void (*)(void* op, const Backend<float>&);
using RunDouble = void (*)(void* op, const Backend<double>&);
void run_everywhere(const char* name, RunFloat run_float, RunDouble run_double, void* op,
                    std::initializer_list<Output> outputs);

// op(backend, T{}) fills the outputs' as<T>() from its inputs' as<T>().
template <class Op>
void check(const char* name, std::initializer_list<Output> outputs, Op op) {
    run_everywhere(
        name, [](void* f, const Backend<float>& b) { (*static_cast<Op*>(f))(b, float{}); },
        [](void* f, const Backend<double>& b) { (*static_cast<Op*>(f))(b, double{}); }, &op, outputs);
}

// For results that are not floats: op(backend, T{}) returns them, and they must equal the reference's.
template <class T>
void assign(Array& to, const std::vector<int64_t>& from) {
    for (int64_t i = 0; i < to.size(); ++i) to.as<T>()[i] = static_cast<T>(from[i]);
}
template <class T>
void assign(Array& to, Array& from) {
    for (int64_t i = 0; i < to.size(); ++i) to.as<T>()[i] = from.as<T>()[i];
}

// One tile, its neighbours and more of every vector width and register tile: 4, 6, 7, 8, 14, 16, 32, 64.
constexpr int64_t kSizes[] = {1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 31, 33, 53, 65};

// One test per line of ops.def: an op without one does not link.
#define CK_OP(name, parameters) void test_##name();
#include "core/ops.def"
#undef CK_OP

}  // namespace ck::selftest
