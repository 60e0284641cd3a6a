#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

#include "core/parallel.h"
#include "cpu/dispatch.h"
#include "selftest.h"

namespace ck::selftest {
namespace {

int64_t checks = 0, failures = 0;
uint64_t random_state = 1;

// Deterministic numbers in [0,1) (splitmix64); the order of the tests is fixed.
double next_random() {
    uint64_t z = random_state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

void fail(const char* name, const std::string& isa, const char* what, int64_t i, double got, double want) {
    static std::map<std::string, int> printed;
    ++failures;
    if (++printed[name + (' ' + isa)] <= 3)
        std::printf("FAILED %s on %s: %s at element %" PRId64 ": %.9g, reference %.17g\n", name, isa.c_str(), what, i,
                    got, want);
}

bool close(float got, double want, const Output& output) {
    if (std::isnan(want)) return std::isnan(got);
    if (std::fabs(want) > std::numeric_limits<float>::max())
        return std::isinf(got) && std::signbit(got) == std::signbit(want);
    return std::fabs(got - want) <= output.bound + output.share * kEps * std::fabs(want);
}

}  // namespace

Array::Array(int64_t n) : size_(n), float_(n + 2 * kGuard, kNaN), double_(n) {}

Array Array::random(int64_t n, float low, float high) {
    Array a(n);
    for (int64_t i = 0; i < n; ++i) a.set(i, low + static_cast<float>(next_random()) * (high - low));
    return a;
}

Array Array::of(std::initializer_list<float> values) {
    Array a(static_cast<int64_t>(values.size()));
    int64_t i = 0;
    for (float value : values) a.set(i++, value);
    return a;
}

void Array::set(int64_t i, float value) {
    floats()[i] = value;
    double_[i] = value;
}

void Array::clear_floats() {
    for (float& value : float_) value = kNaN;
}

bool Array::guards_intact() const {
    for (int64_t i = 0; i < kGuard; ++i)
        if (!std::isnan(float_[i]) || !std::isnan(float_[kGuard + size_ + i])) return false;
    return true;
}

void run_everywhere(const char* name, RunFloat run_float, RunDouble run_double, void* op,
                    std::initializer_list<Output> outputs) {
    run_double(op, cpu::backend_float64());
    for (const std::string& isa : cpu::available_isas()) {
        cpu::set_isa(isa);
        std::vector<std::vector<float>> with_one_thread;
        for (int threads : {1, 3}) {
            set_num_threads(threads);
            for (const Output& output : outputs) output.values.clear_floats();
            run_float(op, cpu::backend_float32());
            size_t index = 0;
            for (const Output& output : outputs) {
                const float* got = output.values.floats();
                const double* want = output.values.doubles();
                const int64_t n = output.values.size();
                if (!output.values.guards_intact()) fail(name, isa, "wrote outside", n, 0, 0);
                ++checks;
                if (threads == 1) {
                    with_one_thread.emplace_back(got, got + n);
                    for (int64_t i = 0; i < n; ++i)
                        if (!close(got[i], want[i], output)) fail(name, isa, "value", i, got[i], want[i]);
                } else if (n && std::memcmp(got, with_one_thread[index].data(), n * sizeof(float)) != 0) {
                    fail(name, isa, "the result depends on the number of threads", 0, 0, 0);
                }
                ++index;
            }
        }
    }
}

int run_all() {
    for (const std::string& isa : cpu::available_isas()) std::printf("%s ", isa.c_str());
    std::printf("\n");
#define CK_OP(name, parameters)                                                             \
    {                                                                                       \
        const int64_t before = checks;                                                      \
        test_##name();                                                                      \
        std::printf("%-32s %6" PRId64 " checks\n", #name, checks - before);                 \
        if (checks == before) fail(#name, "every ISA", "the test checks nothing", 0, 0, 0); \
    }
#include "core/ops.def"
#undef CK_OP
    std::printf("%" PRId64 " checks, %" PRId64 " failures\n", checks, failures);
    return failures ? 1 : 0;
}

}  // namespace ck::selftest

int main() {
    return ck::selftest::run_all();
}
