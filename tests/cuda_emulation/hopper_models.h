// Models of the sm_90a instructions that csrc/cuda/hopper.h writes for nvcc: mbarrier, TMA loads, wgmma. Operands in
// shared memory are K-major with the 128-byte swizzle, as TMA writes them.
#pragma once
#include "async_units.h"
#include "ptx_models.h"

namespace ck::cuda {

// ---- tensor maps ----------------------------------------------------------------------------------------------------

// What the driver would encode in 128 bytes.
struct TensorMap {
    const char* base;
    int rank, element_bytes;
    int64_t extent[4], stride[4];  // the innermost first; strides in bytes
    int rows;                      // of a box: matrix rows, or pixels
    int lower[2], upper[2];        // im2col: corners of the walk, of w and h, added to 0 and extent - 1
    int step[2];                   // im2col: of w and h
};

namespace models {
constexpr int kRowBytes = 128;  // of a box
inline bool aligned16(const void* base, int64_t row_bytes) {
    return reinterpret_cast<uintptr_t>(base) % 16 == 0 && row_bytes % 16 == 0;
}
}  // namespace models

// Boxes of `box_rows` x 128 bytes of a row-major matrix. False: the driver would refuse it.
inline bool make_tensor_map_2d(TensorMap& map, const void* base, int element_bytes, int64_t rows, int64_t columns,
                               int box_rows) {
    if (!models::aligned16(base, columns * element_bytes) || box_rows > 256) return false;
    map = TensorMap{};
    map.base = static_cast<const char*>(base);
    map.rank = 2;
    map.element_bytes = element_bytes;
    map.extent[0] = columns;
    map.extent[1] = rows;
    map.stride[0] = element_bytes;
    map.stride[1] = columns * element_bytes;
    map.rows = box_rows;
    return true;
}

// Boxes of `pixels` output pixels x 128 bytes of channels of x[n, h, w, c], at one tap of a filter at a time. Corners
// and steps are of {w, h}.
inline bool make_tensor_map_im2col(TensorMap& map, const void* base, int element_bytes, const int64_t (&nhwc)[4],
                                   const int (&lower)[2], const int (&upper)[2], const int (&step)[2], int pixels) {
    if (!models::aligned16(base, nhwc[3] * element_bytes) || pixels > 256) return false;
    map = TensorMap{};
    map.base = static_cast<const char*>(base);
    map.rank = 4;
    map.element_bytes = element_bytes;
    int64_t stride = element_bytes;
    for (int i = 0; i < 4; ++i) {
        map.extent[i] = nhwc[3 - i];
        map.stride[i] = stride;
        stride *= map.extent[i];
    }
    map.rows = pixels;
    for (int i = 0; i < 2; ++i) {
        map.lower[i] = lower[i];
        map.upper[i] = upper[i];
        map.step[i] = step[i];
    }
    return true;
}

// ---- mbarrier -------------------------------------------------------------------------------------------------------

inline void mbarrier_init(uint64_t* barrier, int count) {
    emulation::mbarrier_init(barrier, count);
}
inline void mbarrier_init_fence() {}
inline void mbarrier_arrive(uint64_t* barrier) {
    emulation::mbarrier_arrive(barrier, 0);
}
inline void mbarrier_arrive_expect(uint64_t* barrier, int bytes) {
    emulation::mbarrier_arrive(barrier, bytes);
}
inline void mbarrier_wait(uint64_t* barrier, int parity, emulation::Caller caller = emulation::Caller::here()) {
    emulation::mbarrier_wait(barrier, parity, caller);
}

// ---- TMA ------------------------------------------------------------------------------------------------------------

namespace models {

// The swizzle is applied to addresses, not to offsets in a tile: bits 4-6 are exchanged by bits 7-9.
inline uintptr_t swizzled(uintptr_t address) {
    return address ^ (address >> 7 & 7) << 4;
}

struct TensorLoad final : emulation::AsyncWork {
    TensorMap map;
    char* shared;
    int at[4];      // the first element of the box
    int offset[2];  // im2col: the tap, of w and h

    void run() override {
        if (map.rank == 2) return run_matrix();
        int64_t w = at[1], h = at[2], n = at[3];
        for (int pixel = 0; pixel < map.rows; ++pixel) {
            const int64_t x = w + offset[0], y = h + offset[1];
            const bool inside = n < map.extent[3] && x >= 0 && x < map.extent[1] && y >= 0 && y < map.extent[2];
            store_row(pixel, inside ? map.base + n * map.stride[3] + y * map.stride[2] + x * map.stride[1] : nullptr);
            w += map.step[0];  // on to the next pixel within the corners
            if (w <= map.extent[1] - 1 + map.upper[0]) continue;
            w = map.lower[0];
            h += map.step[1];
            if (h <= map.extent[2] - 1 + map.upper[1]) continue;
            h = map.lower[1];
            ++n;
        }
    }
    void run_matrix() {
        for (int row = 0; row < map.rows; ++row) {
            const int64_t y = at[1] + row;
            store_row(row, y >= 0 && y < map.extent[1] ? map.base + y * map.stride[1] : nullptr);
        }
    }
    // 128 bytes from element at[0] on; zero where there are none.
    void store_row(int row, const char* from) {
        for (int byte = 0; byte < kRowBytes; byte += map.element_bytes) {
            const int64_t column = at[0] + byte / map.element_bytes;
            const bool inside = from && column >= 0 && column < map.extent[0];
            const char* source = inside ? from + column * map.element_bytes : nullptr;
            if (inside) emulation::check_global(source, map.element_bytes, "TMA reads");
            auto* to = reinterpret_cast<volatile char*>(
                swizzled(reinterpret_cast<uintptr_t>(shared) + row * kRowBytes + byte));
            for (int i = 0; i < map.element_bytes; ++i) to[i] = inside ? source[i] : char{0};
        }
    }
};

inline void issue(const TensorMap& map, void* shared, uint64_t* barrier, const int (&at)[4], const int (&offset)[2]) {
    if (reinterpret_cast<uintptr_t>(shared) % 1024)
        emulation::fail("TMA: %p is not at a multiple of 1024 bytes, as the swizzle needs", shared);
    auto load = std::make_unique<TensorLoad>();
    load->map = map;
    load->shared = static_cast<char*>(shared);
    for (int i = 0; i < 4; ++i) load->at[i] = at[i];
    for (int i = 0; i < 2; ++i) load->offset[i] = offset[i];
    emulation::issue_load(std::move(load), shared, static_cast<size_t>(map.rows) * kRowBytes, barrier);
}

}  // namespace models

inline void tma_load_2d(void* shared, const TensorMap* map, uint64_t* barrier, int column, int row) {
    models::issue(*map, shared, barrier, {column, row, 0, 0}, {0, 0});
}
inline void tma_load_im2col(void* shared, const TensorMap* map, uint64_t* barrier, int c, int w, int h, int n,
                            int offset_w, int offset_h) {
    models::issue(*map, shared, barrier, {c, w, h, n}, {offset_w, offset_h});
}

// ---- wgmma ----------------------------------------------------------------------------------------------------------

template <int N>
void setmaxnreg_inc() {}
template <int N>
void setmaxnreg_dec() {}

// Of a K-major operand: rows of 128 bytes, eight of them one swizzle pattern, patterns 1024 bytes apart.
inline uint64_t matrix_descriptor(const void* address) {
    const auto offset = static_cast<const char*>(address) - static_cast<const char*>(emulation::dynamic_shared());
    if (reinterpret_cast<uintptr_t>(address) % 16)
        emulation::fail("wgmma: the operand at %p is not at a multiple of 16 bytes", address);
    return (static_cast<uint64_t>(offset) >> 4 & 0x3fff) | 1ull << 16 | 64ull << 32 | 1ull << 62;
}
inline void wgmma_fence() {}
inline void wgmma_commit(emulation::Caller caller = emulation::Caller::here()) {
    emulation::commit_products(caller);
}
template <int N>
void wgmma_wait(emulation::Caller caller = emulation::Caller::here()) {
    static_assert(N >= 0 && N < 8, "wgmma.wait_group takes 0 to 7");
    emulation::wait_products(N, caller);
}

namespace models {

// Byte `byte` of row `row` of the operand.
inline const char* operand_byte(uint64_t descriptor, int row, int byte) {
    const uintptr_t start = (descriptor & 0x3fff) << 4, pattern = (descriptor >> 32 & 0x3fff) << 4;
    const auto base = reinterpret_cast<uintptr_t>(emulation::dynamic_shared());
    const uintptr_t address = base + swizzled(start + row % 8 * kRowBytes + row / 8 * pattern + byte);
    return reinterpret_cast<const char*>(address);
}

// D[64, N] += A[64, 32 bytes] B[N, 32 bytes]^T, where thread t of the warpgroup has of D, with g = t % 32 / 4:
// element i is row 16 (t / 32) + g + 8 (i / 2 % 2), column 8 (i / 4) + 2 (t % 4) + i % 2.
template <class Type, int N>
struct WarpgroupProduct final : emulation::AsyncWork {
    static constexpr int kElementBytes = 4 / Type::kPack;
    float* accumulators[128];
    uint64_t a, b;

    static void load(uint64_t descriptor, int rows, float (*to)[Type::kDepth]) {
        for (int row = 0; row < rows; ++row)
            for (int k = 0; k < Type::kDepth; ++k) {
                const char* from = operand_byte(descriptor, row, k * kElementBytes);
                if (!emulation::in_shared(from, kElementBytes)) emulation::fail("wgmma reads outside shared memory");
                uint32_t bits = 0;
                std::memcpy(&bits, from, kElementBytes);
                to[row][k] = Type::element(bits, 0);
            }
    }
    void run() override {
        static thread_local float rows[64][Type::kDepth], columns[N][Type::kDepth];
        load(a, 64, rows);
        load(b, N, columns);
        for (int t = 0; t < 128; ++t)
            for (int i = 0; i < N / 2; ++i) {
                const float* row = rows[16 * (t / 32) + t % 32 / 4 + 8 * (i / 2 % 2)];
                const float* column = columns[8 * (i / 4) + 2 * (t % 4) + i % 2];
                float sum = accumulators[t][i];
                for (int k = 0; k < Type::kDepth; ++k) sum += row[k] * column[k];
                accumulators[t][i] = sum;
            }
    }
    void note_reads() const override {
        for (int row = 0; row < 64; ++row)
            for (int byte = 0; byte < 32; byte += 16) emulation::note_read(operand_byte(a, row, byte), 16);
        for (int row = 0; row < N; ++row)
            for (int byte = 0; byte < 32; byte += 16) emulation::note_read(operand_byte(b, row, byte), 16);
    }
};

template <class Type, int N>
struct Wgmma {
    float* accumulators;
    uint64_t a, b;
    static const char* name() { return "wgmma"; }
    static void finish(Wgmma** threads, int) {
        auto product = std::make_unique<WarpgroupProduct<Type, N>>();
        product->a = threads[0]->a;
        product->b = threads[0]->b;
        for (int t = 0; t < 128; ++t) {
            if (threads[t]->a != product->a || threads[t]->b != product->b)
                emulation::fail("wgmma: the descriptors of thread %d differ from those of thread 0", t);
            product->accumulators[t] = threads[t]->accumulators;
        }
        emulation::issue_product(std::move(product));
    }
};

}  // namespace models

// d += a b^T of m64nNk16 (bf16) or m64nNk8 (tf32), a and b from matrix_descriptor; read and written until wgmma_wait.
template <bool BF16, int N>
void wgmma(float (&d)[N / 2], uint64_t a, uint64_t b, emulation::Caller caller = emulation::Caller::here()) {
    static_assert(N % 8 == 0 && N >= 8 && N <= 256, "wgmma has 8 to 256 columns");
    models::Wgmma<std::conditional_t<BF16, models::Bf16, models::Tf32>, N> mine{d, a, b};
    emulation::meet(emulation::Scope::warpgroup, ~0u, mine, caller);
}

}  // namespace ck::cuda
