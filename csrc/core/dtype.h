// Element types of tensors and the switch from a run-time dtype to a C++ type.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/check.h"

namespace ck {

enum class DType : uint8_t { float32, float64, bfloat16, uint8, int64, boolean };

// The upper half of a float32: storage of mixed precision on CUDA, where sums are float32. It converts to and from
// floating types, to the nearest, ties to even; a NaN stays one.
struct bfloat16 {
    uint16_t bits = 0;

    bfloat16() = default;
    template <class From, class = std::enable_if_t<std::is_arithmetic_v<From>>>
    explicit bfloat16(From value) {
        const float single = static_cast<float>(value);
        uint32_t word;
        std::memcpy(&word, &single, sizeof word);
        const bool nan = (word & 0x7fffffffu) > 0x7f800000u;
        bits = static_cast<uint16_t>(nan ? word >> 16 | 0x40u : (word + 0x7fffu + (word >> 16 & 1u)) >> 16);
    }
    explicit operator float() const {
        const uint32_t word = uint32_t{bits} << 16;
        float single;
        std::memcpy(&single, &word, sizeof single);
        return single;
    }
};

template <class T>
constexpr bool is_floating = std::is_floating_point_v<T> || std::is_same_v<T, bfloat16>;

constexpr int64_t itemsize(DType dtype) {
    switch (dtype) {
        case DType::float32:
            return 4;
        case DType::float64:
            return 8;
        case DType::bfloat16:
            return 2;
        case DType::uint8:
            return 1;
        case DType::int64:
            return 8;
        case DType::boolean:
            return 1;
    }
    return 0;
}

constexpr const char* name(DType dtype) {
    switch (dtype) {
        case DType::float32:
            return "float32";
        case DType::float64:
            return "float64";
        case DType::bfloat16:
            return "bfloat16";
        case DType::uint8:
            return "uint8";
        case DType::int64:
            return "int64";
        case DType::boolean:
            return "bool";
    }
    return "?";
}

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
    static constexpr DType value = DType::float32;
};
template <>
struct DTypeOf<double> {
    static constexpr DType value = DType::float64;
};
template <>
struct DTypeOf<bfloat16> {
    static constexpr DType value = DType::bfloat16;
};
template <>
struct DTypeOf<uint8_t> {
    static constexpr DType value = DType::uint8;
};
template <>
struct DTypeOf<int64_t> {
    static constexpr DType value = DType::int64;
};
template <>
struct DTypeOf<bool> {
    static constexpr DType value = DType::boolean;
};

// visit_floating("relu", x.dtype(), [&](auto zero) { using T = decltype(zero); ... });
template <class F>
decltype(auto) visit_floating(const char* op, DType dtype, F&& f) {
    switch (dtype) {
        case DType::float32:
            return f(float{});
        case DType::float64:
            return f(double{});
        case DType::bfloat16:
            return f(bfloat16{});
        default:
            throw TypeError(concat("[", op, "] needs float32 or float64. Received: ", name(dtype), "."));
    }
}

// The same with int64.
template <class F>
decltype(auto) visit_numbers(const char* op, DType dtype, F&& f) {
    return dtype == DType::int64 ? f(int64_t{}) : visit_floating(op, dtype, f);
}

template <class F>
decltype(auto) visit_all(DType dtype, F&& f) {
    switch (dtype) {
        case DType::float32:
            return f(float{});
        case DType::float64:
            return f(double{});
        case DType::bfloat16:
            return f(bfloat16{});
        case DType::uint8:
            return f(uint8_t{});
        case DType::int64:
            return f(int64_t{});
        case DType::boolean:
            break;
    }
    return f(bool{});
}

}  // namespace ck
