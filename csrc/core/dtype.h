// Element types of tensors and the switch from a run-time dtype to a C++ type.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/check.h"

namespace ck {

enum class DType : uint8_t { float32, float64, uint8, int64, boolean };

constexpr int64_t itemsize(DType dtype) {
    switch (dtype) {
        case DType::float32:
            return 4;
        case DType::float64:
            return 8;
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
        default:
            throw TypeError(concat("[", op, "] needs float32 or float64. Received: ", name(dtype), "."));
    }
}

template <class F>
decltype(auto) visit_all(DType dtype, F&& f) {
    switch (dtype) {
        case DType::float32:
            return f(float{});
        case DType::float64:
            return f(double{});
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
