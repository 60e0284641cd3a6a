// Models of the sm_90a instructions that csrc/cuda/hopper.h writes for nvcc: mbarrier, TMA loads, wgmma. Operands in
// shared memory have the 128-byte swizzle, as TMA writes them.
#pragma once
#include <algorithm>
#include <array>

#include "async_units.h"
#include "ptx_models.h"
#include "tensor_maps.h"

namespace ck::cuda {

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

constexpr int kRowBytes = 128;  // of a box

struct TensorLoad final : emulation::AsyncWork {
    emulation::EncodedMap map;
    char* shared;
    int at[4];      // the first element of the box
    int offset[2];  // im2col: the tap, of w and h

    void run() override {
        if (!map.im2col) return run_tiled();
        int64_t w = at[1], h = at[2], n = at[3];
        for (uint32_t pixel = 0; pixel < map.rows(); ++pixel) {
            store_row(pixel, {w + offset[0], h + offset[1], n});
            w += map.step[0];  // on to the next pixel within the corners
            if (w <= int64_t{map.extent[1]} - 1 + map.upper[0]) continue;
            w = map.lower[0];
            h += map.step[1];
            if (h <= int64_t{map.extent[2]} - 1 + map.upper[1]) continue;
            h = map.lower[1];
            ++n;
        }
    }
    void run_tiled() {
        for (uint32_t row = 0; row < map.rows(); ++row)
            store_row(row, {at[1] + row % map.box[1], at[2] + row / map.box[1], 0});
    }
    // 128 bytes from element at[0] on of the row at `place`; zero where there are none.
    void store_row(uint32_t row, const std::array<int64_t, 3>& place) {
        const char* from = map.base;
        bool inside = true;
        for (int i = 0; i + 1 < map.rank; ++i) {
            inside = inside && place[i] >= 0 && place[i] < int64_t{map.extent[i + 1]};
            from += place[i] * map.stride[i];
        }
        const int elements = kRowBytes / map.bytes;
        const int64_t begin = std::max<int64_t>(0, -at[0]);
        const int64_t end = inside ? std::min<int64_t>(elements, int64_t{map.extent[0]} - at[0]) : 0;
        if (begin < end)
            emulation::check_global(from + (at[0] + begin) * map.bytes, (end - begin) * map.bytes, "TMA reads");
        for (int64_t e = 0; e < elements; ++e) {
            uint32_t value = 0;
            if (e >= begin && e < end) std::memcpy(&value, from + (at[0] + e) * map.bytes, map.bytes);
            if (map.rounds) value = rounded(value);
            auto* to = reinterpret_cast<volatile char*>(
                swizzled(reinterpret_cast<uintptr_t>(shared) + row * kRowBytes + e * map.bytes));
            for (int i = 0; i < map.bytes; ++i) to[i] = static_cast<char>(value >> 8 * i);
        }
    }
    static uint32_t rounded(uint32_t bits) {
        float value;
        std::memcpy(&value, &bits, 4);
        return to_tf32(value);
    }
};

inline void issue(const CUtensorMap& map, void* shared, uint64_t* barrier, const int (&at)[4], const int (&offset)[2],
                  bool im2col) {
    auto load = std::make_unique<TensorLoad>();
    load->map = emulation::decode(map);
    if (load->map.mark != load->map.kMark || load->map.im2col != im2col)
        emulation::fail("TMA: no tensor map of this kind");
    if (reinterpret_cast<uintptr_t>(shared) % 1024)
        emulation::fail("TMA: %p is not at a multiple of 1024 bytes, as the swizzle needs", shared);
    load->shared = static_cast<char*>(shared);
    for (int i = 0; i < 4; ++i) load->at[i] = at[i];
    for (int i = 0; i < 2; ++i) {
        load->offset[i] = offset[i];
        if (offset[i] < 0 || offset[i] > 255)
            emulation::fail("TMA: an offset of im2col is 0 to 255, not %d", offset[i]);
    }
    const size_t bytes = size_t{load->map.rows()} * kRowBytes;
    emulation::issue_load(std::move(load), shared, bytes, barrier);
}

}  // namespace models

inline void tma_load_3d(void* shared, const CUtensorMap* map, uint64_t* barrier, int x, int y, int z) {
    models::issue(*map, shared, barrier, {x, y, z, 0}, {0, 0}, false);
}
inline void tma_load_im2col(void* shared, const CUtensorMap* map, uint64_t* barrier, int c, int w, int h, int n,
                            int offset_w, int offset_h) {
    models::issue(*map, shared, barrier, {c, w, h, n}, {offset_w, offset_h}, true);
}

// ---- wgmma ----------------------------------------------------------------------------------------------------------

template <int N>
void setmaxnreg_inc() {}
template <int N>
void setmaxnreg_dec() {}
inline void fence_proxy_async() {}
inline void warpgroup_barrier(int, emulation::Caller caller = emulation::Caller::here()) {
    emulation::warpgroup_barrier(caller);
}

// Of an operand in lines of 128 bytes, eight of them one swizzle pattern, patterns 1024 bytes apart.
inline uint64_t matrix_descriptor(const void* address, int next = 16) {
    const auto offset = static_cast<const char*>(address) - static_cast<const char*>(emulation::dynamic_shared());
    if (reinterpret_cast<uintptr_t>(address) % 16)
        emulation::fail("wgmma: the operand at %p is not at a multiple of 16 bytes", address);
    return (static_cast<uint64_t>(offset) >> 4 & 0x3fff) | static_cast<uint64_t>(next / 16) << 16 | 64ull << 32 |
           1ull << 62;
}
inline void wgmma_fence() {}
inline void wgmma_commit(emulation::Caller caller = emulation::Caller::here()) {
    emulation::commit_products(caller);
}
template <int N, int COUNT>
void wgmma_wait(float (&)[COUNT], emulation::Caller caller = emulation::Caller::here()) {
    static_assert(N >= 0 && N < 8, "wgmma.wait_group takes 0 to 7");
    emulation::wait_products(N, caller);
}

namespace models {

// The 16 bytes that begin with element k of row (of b: column) mn.
template <int BYTES, bool MN>
const char* operand_chunk(uint64_t descriptor, int mn, int k) {
    const uintptr_t start = (descriptor & 0x3fff) << 4, next = (descriptor >> 16 & 0x3fff) << 4;
    const uintptr_t pattern = (descriptor >> 32 & 0x3fff) << 4;
    constexpr int kLine = 128 / BYTES;
    const uintptr_t at = MN ? start + mn / kLine * next + mn % kLine * BYTES + k % 8 * 128 + k / 8 * pattern
                            : start + mn % 8 * 128 + mn / 8 * pattern + k * BYTES;
    const auto base = reinterpret_cast<uintptr_t>(emulation::dynamic_shared());
    return reinterpret_cast<const char*>(base + swizzled(at));
}

// D[64, N] += A[64, 32 bytes] B[32 bytes, N], where thread t of the warpgroup has of D, with g = t % 32 / 4:
// element i is row 16 (t / 32) + g + 8 (i / 2 % 2), column 8 (i / 4) + 2 (t % 4) + i % 2.
template <class Type, int N, bool A_MN, bool B_MN>
struct WarpgroupProduct final : emulation::AsyncWork {
    static constexpr int kDepth = Type::kDepth, kBytes = 4 / Type::kPack;
    float* accumulators[128];
    uint64_t a, b;
    float rows[64][kDepth], columns[kDepth][N], d[64][N];  // the operands and the result as matrices

    // f(mn, k, chunk) for every 16 bytes of an operand; (mn, k) is their first element.
    template <bool MN, class F>
    static void each_chunk(uint64_t descriptor, int extent, F&& f) {
        constexpr int kChunk = 16 / kBytes;
        for (int mn = 0; mn < extent; mn += MN ? kChunk : 1)
            for (int k = 0; k < kDepth; k += MN ? 1 : kChunk) f(mn, k, operand_chunk<kBytes, MN>(descriptor, mn, k));
    }
    template <bool MN, class Put>
    static void load(uint64_t descriptor, int extent, Put&& put) {
        each_chunk<MN>(descriptor, extent, [&](int mn, int k, const char* chunk) {
            if (!emulation::in_shared(chunk, 16)) emulation::fail("wgmma reads outside shared memory");
            for (int e = 0; e < 16 / kBytes; ++e) {
                uint32_t bits = 0;
                std::memcpy(&bits, chunk + e * kBytes, kBytes);
                put(MN ? mn + e : mn, MN ? k : k + e, Type::element(bits, 0));
            }
        });
    }
    void run() override {
        load<A_MN>(a, 64, [&](int m, int k, float value) { rows[m][k] = value; });
        load<B_MN>(b, N, [&](int n, int k, float value) { columns[k][n] = value; });
        const auto each = [&](auto&& f) {
            for (int t = 0; t < 128; ++t)
                for (int i = 0; i < N / 2; ++i)
                    f(accumulators[t][i],
                      d[16 * (t / 32) + t % 32 / 4 + 8 * (i / 2 % 2)][8 * (i / 4) + 2 * (t % 4) + i % 2]);
        };
        each([](float& accumulator, float& element) { element = accumulator; });
        for (int m = 0; m < 64; ++m)
            for (int k = 0; k < kDepth; ++k) {
                const float factor = rows[m][k];
                for (int n = 0; n < N; ++n) d[m][n] += factor * columns[k][n];
            }
        each([](float& accumulator, float& element) { accumulator = element; });
    }
    void note_reads() const override {
        each_chunk<A_MN>(a, 64, [](int, int, const char* chunk) { emulation::note_read(chunk, 16); });
        each_chunk<B_MN>(b, N, [](int, int, const char* chunk) { emulation::note_read(chunk, 16); });
    }
};

template <class Type, int N, bool A_MN, bool B_MN>
struct Wgmma {
    float* accumulators;
    uint64_t a, b;
    static const char* name() { return "wgmma"; }
    static void finish(Wgmma** threads, int) {
        auto product = std::make_unique<WarpgroupProduct<Type, N, A_MN, B_MN>>();
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

// d += a b of m64nNk16 (bf16) or m64nNk8 (tf32), a and b from matrix_descriptor; read and written until wgmma_wait.
template <bool BF16, int N, bool A_MN = false, bool B_MN = false>
void wgmma(float (&d)[N / 2], uint64_t a, uint64_t b, emulation::Caller caller = emulation::Caller::here()) {
    static_assert(N % 8 == 0 && N >= 8 && N <= 256, "wgmma has 8 to 256 columns");
    static_assert(BF16 || (!A_MN && !B_MN), "words have lines along k");
    models::Wgmma<std::conditional_t<BF16, models::Bf16, models::Tf32>, N, A_MN, B_MN> mine{d, a, b};
    emulation::meet(emulation::Scope::warpgroup, ~0u, mine, caller);
}

}  // namespace ck::cuda
