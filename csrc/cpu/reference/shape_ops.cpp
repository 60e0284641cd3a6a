#include <cstring>
#include <type_traits>

#include "cpu/reference/reference.h"

namespace ck::cpu::reference {

template <class T>
void strided_copy(const StridedCopy& s, const void* src, void* dst) {
    int64_t index[kMaxDims] = {}, n = 1;
    for (int d = 0; d < s.ndim; ++d) n *= s.shape[d];
    const char* from = static_cast<const char*>(src);
    char* to = static_cast<char*>(dst);
    for (int64_t i = 0; i < n; ++i) {
        std::memcpy(to, from, static_cast<size_t>(s.itemsize));
        for (int d = s.ndim - 1; d >= 0; --d) {
            from += s.src_stride[d] * s.itemsize;
            to += s.dst_stride[d] * s.itemsize;
            if (++index[d] < s.shape[d]) break;
            from -= s.src_stride[d] * s.shape[d] * s.itemsize;
            to -= s.dst_stride[d] * s.shape[d] * s.itemsize;
            index[d] = 0;
        }
    }
}

template <class T>
void fill(int64_t n, int64_t itemsize, const void* element, void* y) {
    for (int64_t i = 0; i < n; ++i) std::memcpy(static_cast<char*>(y) + i * itemsize, element, size_t(itemsize));
}

namespace {

template <class To, class From>
To convert(From x) {
    if constexpr (std::is_same_v<From, bfloat16>) {
        return convert<To>(static_cast<float>(x));
    } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To> && !std::is_same_v<To, bool>) {
        // NaN and values out of range have no integer: like numpy on x86, the smallest int64.
        const bool fits = x >= From(-0x1p63) && x < From(0x1p63);
        return static_cast<To>(fits ? static_cast<int64_t>(x) : INT64_MIN);
    } else {
        return static_cast<To>(x);
    }
}

}  // namespace

template <class T>
void arange(int64_t n, double start, double step, DType to, void* y) {
    visit_all(to, [&](auto target) {
        using To = decltype(target);
        for (int64_t i = 0; i < n; ++i) static_cast<To*>(y)[i] = convert<To>(start + step * static_cast<double>(i));
    });
}

template <class T>
void cast(int64_t n, DType from, const void* x, DType to, void* y) {
    visit_all(from, [&](auto source) {
        visit_all(to, [&](auto target) {
            using To = decltype(target);
            for (int64_t i = 0; i < n; ++i)
                static_cast<To*>(y)[i] = convert<To>(static_cast<const decltype(source)*>(x)[i]);
        });
    });
}

}  // namespace ck::cpu::reference

CK_INSTANTIATE(strided_copy)
CK_INSTANTIATE(fill)
CK_INSTANTIATE(arange)
CK_INSTANTIATE(cast)
