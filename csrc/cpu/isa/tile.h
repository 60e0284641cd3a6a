// The register tile shared by the matrix kernels (GEMM and convolution): rows x vectors accumulators stay in registers
// over the whole k loop; one k step loads `vectors` of B and broadcasts one value of A per row.
// Both may come from the second-level cache, as each tile fetches lines that the next ones read, one in a step.
// Loops over k are unrolled: the integer operations of a step take ports from its multiply-adds.
#pragma once

namespace {

template <int kRows, int kVectors>
struct Tile {
    static constexpr int rows = kRows;
    static constexpr int vectors = kVectors;
    static constexpr int columns = kVectors * kWidth;
};

#if defined(CK_ISA_avx512)
using WideTile = Tile<7, 4>;     // 28 accumulators, 4 of B, 1 of A: one sum is kept in memory, which the others hide
using NarrowTile = Tile<14, 2>;  // 28 + 2: for at most 32 columns
#elif defined(CK_ISA_neon)
using WideTile = Tile<8, 3>;  // 24 accumulators + 3 of B + 2 of A = 29 of 32 registers
using NarrowTile = WideTile;
#else
using WideTile = Tile<6, 2>;  // 12 accumulators + 2 of B + 1 of A = 15 of 16 registers
using NarrowTile = WideTile;
#endif
// So many multiply-adds a step that they hide rows scattered in memory.
constexpr bool kLongSteps = WideTile::rows * WideTile::vectors >= 28;
#if defined(CK_ISA_avx512) || defined(CK_ISA_avx2)
constexpr bool kFarOperands = true;  // 5 % of the time of AVX2 over all layers, a third of single weight gradients
#else
constexpr bool kFarOperands = false;  // not measured
#endif

}  // namespace
