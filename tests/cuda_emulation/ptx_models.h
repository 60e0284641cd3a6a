// Lane-accurate models of the PTX instructions that csrc/cuda/ptx.h writes for nvcc.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "language.h"

namespace ck::cuda {

// ---- cp.async -------------------------------------------------------------------------------------------------------

// Copies BYTES (4, 8 or 16) from global to shared memory; those from src_bytes on become zero.
template <int BYTES>
void cp_async(void* dst, const void* src, int src_bytes) {
    static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16, "cp.async copies 4, 8 or 16 bytes");
    emulation::async_copy(dst, src, BYTES, src_bytes);
}
inline void cp_async_commit() {
    emulation::async_copy_commit();
}
// All but the latest N groups of this thread have landed.
template <int N>
void cp_async_wait() {
    emulation::async_copy_wait(N);
}

// ---- conversions ----------------------------------------------------------------------------------------------------

// cvt.rna.tf32: to 10 bits of mantissa, to nearest, ties away from zero.
inline uint32_t to_tf32(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & 0xffffe000u;
}

namespace models {

// ---- ldmatrix -------------------------------------------------------------------------------------------------------

// Lane l passes the address of row l % 8 of matrix l / 8, 8 x 8 of 16 bits. It receives of each matrix the elements 2t
// and 2t + 1 of row g, where g = l / 4 and t = l % 4; transposed, those of column g.
template <bool TRANSPOSED>
struct LoadMatrix {
    const void* row;
    uint32_t* result;
    static const char* name() { return TRANSPOSED ? "ldmatrix.trans" : "ldmatrix"; }
    static void finish(LoadMatrix** lanes, int) {
        const void* rows[32];
        for (int lane = 0; lane < 32; ++lane) rows[lane] = lanes[lane]->row;
        emulation::count_ldmatrix(rows);
        for (int lane = 0; lane < 32; ++lane)
            for (int matrix = 0; matrix < 4; ++matrix)
                lanes[lane]->result[matrix] = pair(rows + 8 * matrix, lane / 4, 2 * (lane % 4));
    }
    static uint32_t pair(const void* const* rows, int g, int i) {
        const auto element = [&](int row, int column) {
            uint16_t value;
            std::memcpy(&value, static_cast<const char*>(rows[row]) + 2 * column, 2);
            return static_cast<uint32_t>(value);
        };
        return TRANSPOSED ? element(i, g) | element(i + 1, g) << 16 : element(g, i) | element(g, i + 1) << 16;
    }
};

template <bool TRANSPOSED>
void ldmatrix(uint32_t* result, const void* row, emulation::Caller caller) {
    LoadMatrix<TRANSPOSED> mine{row, result};
    const char* name = mine.name();
    if (reinterpret_cast<uintptr_t>(row) % 16)
        emulation::fail("%s: the row of lane %d is not at a multiple of 16 bytes (%s:%d)", name, emulation::lane(),
                        caller.file, caller.line);
    if (!emulation::in_shared(row, 16))
        emulation::fail("%s: the row of lane %d is outside shared memory (%s:%d)", name, emulation::lane(), caller.file,
                        caller.line);
    emulation::note_read(row, 16);
    emulation::meet(emulation::Scope::warp, ~0u, mine, caller);
}

// ---- mma ------------------------------------------------------------------------------------------------------------

// The fragments, with g = lane / 4 and t = lane % 4 (PTX ISA, "Matrix Fragments for mma.m16n8k8" and "...k16"):
//   A: a0 (g, t)  a1 (g + 8, t)  a2 (g, t + K/2)  a3 (g + 8, t + K/2)      t of bf16 stands for the pair 2t, 2t + 1,
//   B: b0 (t, g)  b1 (t + K/2, g)                                          the first in the low half
//   C: c0 (g, 2t)  c1 (g, 2t + 1)  c2 (g + 8, 2t)  c3 (g + 8, 2t + 1)
struct Tf32 {
    static constexpr int kDepth = 8, kPack = 1;
    static const char* name() { return "mma.tf32"; }
    static float element(uint32_t bits, int) {
        bits &= 0xffffe000u;  // all that the unit reads
        float value;
        std::memcpy(&value, &bits, 4);
        return value;
    }
};
struct Bf16 {
    static constexpr int kDepth = 16, kPack = 2;
    static const char* name() { return "mma.bf16"; }
    static float element(uint32_t bits, int i) {
        bits = i ? bits & 0xffff0000u : bits << 16;
        float value;
        std::memcpy(&value, &bits, 4);
        return value;
    }
};

template <class Type>
struct Fragments {  // the operands of a warp as matrices
    float a[16][Type::kDepth], b[Type::kDepth][8], c[16][8];

    void set_a(int lane, const uint32_t (&from)[4]) {
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; ++i)
            for (int p = 0; p < Type::kPack; ++p)
                a[g + i % 2 * 8][Type::kPack * t + p + i / 2 * Type::kDepth / 2] = Type::element(from[i], p);
    }
    void set_b(int lane, const uint32_t (&from)[2]) {
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 2; ++i)
            for (int p = 0; p < Type::kPack; ++p)
                b[Type::kPack * t + p + i * Type::kDepth / 2][g] = Type::element(from[i], p);
    }
    float& accumulator(int lane, int i) { return c[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2]; }
    void multiply() {
        for (int i = 0; i < 16; ++i)
            for (int k = 0; k < Type::kDepth; ++k)
                for (int j = 0; j < 8; ++j) c[i][j] += a[i][k] * b[k][j];
    }
};

// MI x NI products of one step along k: one rendezvous for all of them.
template <class Type, int MI, int NI>
struct Mma {
    float (*acc)[NI][4];
    const uint32_t (*a)[4];
    const uint32_t (*b)[2];
    static const char* name() { return Type::name(); }
    static void finish(Mma** lanes, int) {
        Fragments<Type> tile;
        for (int i = 0; i < MI; ++i) {
            for (int lane = 0; lane < 32; ++lane) tile.set_a(lane, lanes[lane]->a[i]);
            for (int j = 0; j < NI; ++j) {
                for (int lane = 0; lane < 32; ++lane) {
                    tile.set_b(lane, lanes[lane]->b[j]);
                    for (int e = 0; e < 4; ++e) tile.accumulator(lane, e) = lanes[lane]->acc[i][j][e];
                }
                tile.multiply();
                for (int lane = 0; lane < 32; ++lane)
                    for (int e = 0; e < 4; ++e) lanes[lane]->acc[i][j][e] = tile.accumulator(lane, e);
            }
        }
    }
};

}  // namespace models

// r[i] of matrix i. All 32 lanes take part.
inline void ldmatrix_x4(uint32_t (&r)[4], const void* row, emulation::Caller caller = emulation::Caller::here()) {
    models::ldmatrix<false>(r, row, caller);
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row, emulation::Caller caller = emulation::Caller::here()) {
    models::ldmatrix<true>(r, row, caller);
}

// c += a b of m16n8k8 (tf32) and m16n8k16 (bf16).
inline void mma_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                     emulation::Caller caller = emulation::Caller::here()) {
    models::Mma<models::Tf32, 1, 1> mine{reinterpret_cast<float(*)[1][4]>(&c), &a, &b};
    emulation::meet(emulation::Scope::warp, ~0u, mine, caller);
}
inline void mma_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                     emulation::Caller caller = emulation::Caller::here()) {
    models::Mma<models::Bf16, 1, 1> mine{reinterpret_cast<float(*)[1][4]>(&c), &a, &b};
    emulation::meet(emulation::Scope::warp, ~0u, mine, caller);
}
// acc[i][j] += a[i] b[j], of bf16 or tf32.
template <bool BF16, int MI, int NI>
void mma_tile(float (&acc)[MI][NI][4], const uint32_t (&a)[MI][4], const uint32_t (&b)[NI][2],
              emulation::Caller caller = emulation::Caller::here()) {
    models::Mma<std::conditional_t<BF16, models::Bf16, models::Tf32>, MI, NI> mine{acc, a, b};
    emulation::meet(emulation::Scope::warp, ~0u, mine, caller);
}

}  // namespace ck::cuda
