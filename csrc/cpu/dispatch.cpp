#include "cpu/dispatch.h"

#include <atomic>

#include "core/check.h"

namespace ck::cpu {
namespace {

struct Unit {
    const CpuKernels& (*kernels)();
    bool (*supported)();
};

// __builtin_cpu_supports also asks whether the operating system saves the registers.
const Unit kUnits[] = {
#ifdef CK_HAVE_avx512
    {ck_kernels_avx512,
     [] {
         return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
     }},
#endif
#ifdef CK_HAVE_avx2
    {ck_kernels_avx2, [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }},
#endif
#ifdef CK_HAVE_sse2
    {ck_kernels_sse2, [] { return true; }},  // part of x86-64
#endif
#ifdef CK_HAVE_neon
    {ck_kernels_neon, [] { return true; }},  // part of aarch64
#endif
    {nullptr, [] { return true; }},  // reference
};

const char* unit_name(const Unit& unit) {
    return unit.kernels ? unit.kernels().isa : "reference";
}

const Unit* best_unit() {
    const Unit* unit = kUnits;
    while (!unit->supported()) ++unit;
    return unit;
}

std::atomic<const Unit*>& active() {
    static std::atomic<const Unit*> unit{best_unit()};
    return unit;
}

std::vector<std::string> names(bool supported_only) {
    std::vector<std::string> result;
    for (const Unit& unit : kUnits)
        if (!supported_only || unit.supported()) result.push_back(unit_name(unit));
    return result;
}

}  // namespace

const CpuKernels& kernels() {
    return active().load()->kernels();
}
bool reference_active() {
    return !active().load()->kernels;
}
std::string active_isa() {
    return unit_name(*active().load());
}
std::vector<std::string> compiled_isas() {
    return names(false);
}
std::vector<std::string> available_isas() {
    return names(true);
}

void set_isa(const std::string& name) {
    for (const Unit& unit : kUnits) {
        if (name == unit_name(unit) && unit.supported()) {
            active() = &unit;
            return;
        }
    }
    std::string list;
    for (const std::string& isa : available_isas()) list += (list.empty() ? "" : ", ") + isa;
    throw ValueError(concat("[set_isa] the ISA must be one that is compiled in and supported by this CPU: ", list,
                            ". Received: '", name, "'."));
}

}  // namespace ck::cpu
