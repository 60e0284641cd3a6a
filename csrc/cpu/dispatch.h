// Which vector unit runs: chosen once, best first, among those compiled in and supported by this CPU.
// CONVKIT_ISA=reference|sse2|avx2|avx512|neon forces one.
#pragma once
#include <string>
#include <vector>

#include "cpu/kernels.h"

namespace ck::cpu {

const CpuKernels& kernels();  // of the active unit; not to be called when reference_active()
bool reference_active();

std::string active_isa();
std::vector<std::string> compiled_isas();   // best first, "reference" last
std::vector<std::string> available_isas();  // those of compiled_isas() that this CPU runs
void set_isa(const std::string& name);      // ValueError that lists available_isas()

}  // namespace ck::cpu
