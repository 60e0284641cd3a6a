// Measurements of the machine that benchmarks hold kernels against.
#pragma once
#include <cstdint>

namespace ck::cpu {

// Runs multiply-adds of the active vector unit in registers, about `microseconds` of them on each of num_threads()
// threads, and returns how many floating-point operations that were: the caller's clock makes a rate of it. 0 when the
// reference loops are active.
double fma_probe(double microseconds);

// Bytes read and written per second by all threads together while they copy `bytes`: the best of a few wall times. 0
// when the reference loops are active.
double copy_bandwidth(int64_t bytes);

}  // namespace ck::cpu
