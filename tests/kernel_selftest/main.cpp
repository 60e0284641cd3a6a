#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <map>
#include <set>
#include <string>

#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/dispatch.h"
#include "selftest.h"

namespace ck::selftest {
namespace {

int64_t checks = 0, failures = 0;
bool cuda_wanted = true, thorough = false, sparse = false, cpu_only = false;
constexpr uint32_t kSparse = 6;  // one case of so many
uint32_t cases = 0;              // of the op so far

void check_thread_counts(const char* name, const char* isa, const Runs& runs, void* op,
                         std::initializer_list<Output> outputs) {
    std::vector<std::vector<float>> with_one_thread;
    for (int threads : {1, 3}) {
        set_num_threads(threads);
        for (const Output& output : outputs) output.values.clear_floats();
        runs.with_float(op, cpu::backend_float32());
        size_t index = 0;
        for (const Output& output : outputs) {
            const float* got = output.values.floats();
            const double* want = output.values.doubles();
            const int64_t n = output.values.size();
            if (!output.values.guards_intact()) fail(name, isa, "wrote outside", n, 0, 0);
            count_check();
            if (threads == 1) {
                with_one_thread.emplace_back(got, got + n);
                for (int64_t i = 0; i < n; ++i)
                    if (!close(got[i], want[i], output, {})) fail(name, isa, "value", i, got[i], want[i]);
            } else if (n && std::memcmp(got, with_one_thread[index].data(), n * sizeof(float)) != 0) {
                fail(name, isa, "the result depends on the number of threads", 0, 0, 0);
            }
            ++index;
        }
    }
}

}  // namespace

void run_on_cuda(bool wanted) {
    cuda_wanted = wanted;
}

void count_check() {
    ++checks;
}

void fail(const char* name, const char* where, const char* what, int64_t i, double got, double want) {
    static std::map<std::string, int> printed;
    ++failures;
    if (++printed[std::string(name) + ' ' + where] <= 3)
        std::printf("FAILED %s on %s: %s at element %" PRId64 ": %.9g, reference %.17g\n", name, where, what, i, got,
                    want);
}

bool close(double got, double want, const Output& output, Bounds beyond) {
    if (std::isnan(want)) return std::isnan(got);
    if (std::fabs(want) > std::numeric_limits<float>::max())
        return std::isinf(got) && std::signbit(got) == std::signbit(want);
    return std::fabs(got - want) <=
           output.bound + beyond.bound + (output.share * kEps + beyond.share) * std::fabs(want);
}

void run_everywhere(const char* name, const Runs& runs, void* op, std::initializer_list<Output> outputs) {
    // Scrambled, for the cases of a test are periodic in what they vary; the first one always.
    if (sparse && (!cuda_wanted || (cases++ * 2654435761u >> 8) % kSparse != 0)) return;
    runs.with_double(op, cpu::backend_float64());
    if (!sparse) {
        for (const std::string& isa : cpu::available_isas()) {
            cpu::set_isa(isa);
            check_thread_counts(name, isa.c_str(), runs, op, outputs);
        }
    }
#if defined(CK_SELFTEST_CUDA)
    if (cuda_wanted && !cpu_only) run_on_device(name, runs, op, outputs, thorough);
#endif
}

// The tests of the ops that are named, or of all. Among the names, "--thorough" runs every variant on the GPU, "--cpu"
// none, and "--sparse" few cases, on the GPU alone: for a sanitizer that takes a hundred times as long.
int run(std::set<std::string> names) {
    thorough = names.erase("--thorough") > 0;
    sparse = names.erase("--sparse") > 0;
    cpu_only = names.erase("--cpu") > 0;
    if (sparse) set_num_threads(1);
    for (const std::string& isa : cpu::available_isas()) std::printf("%s ", isa.c_str());
    std::printf("\n");
#define CK_OP(name, parameters)                                                             \
    if (names.empty() || names.count(#name)) {                                              \
        const int64_t before = checks;                                                      \
        cases = 0;                                                                          \
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

int main(int count, char** arguments) {
    return ck::selftest::run(std::set<std::string>(arguments + 1, arguments + count));
}
