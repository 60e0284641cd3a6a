// The stored form of a maximum's place: its window offset r*S+s in 1, 2 or 4 bytes (argmax_itemsize).
#pragma once
#include <type_traits>

#include "core/shapes.h"

namespace ck {

// f(typed pointer), the type by the window's size.
template <class F>
decltype(auto) visit_argmax(const Pool2dShape& s, const void* argmax, F&& f) {
    switch (argmax_itemsize(s)) {
        case 1:
            return f(static_cast<const uint8_t*>(argmax));
        case 2:
            return f(static_cast<const uint16_t*>(argmax));
        default:
            return f(static_cast<const uint32_t*>(argmax));
    }
}

inline int64_t load_argmax(const Pool2dShape& s, const void* argmax, int64_t i) {
    return visit_argmax(s, argmax, [i](auto typed) { return static_cast<int64_t>(typed[i]); });
}

inline void store_argmax(const Pool2dShape& s, void* argmax, int64_t i, int64_t offset) {
    visit_argmax(s, argmax, [&](auto typed) {
        using Index = std::remove_const_t<std::remove_pointer_t<decltype(typed)>>;
        static_cast<Index*>(argmax)[i] = static_cast<Index>(offset);
    });
}

// The flat index h*W+w of a maximum in the window of output p,q.
constexpr int64_t plane_index(const Pool2dShape& s, int64_t p, int64_t q, int64_t offset) {
    const int64_t r = offset / s.s, h = p * s.stride_h - s.pad_top + r * s.dilation_h;
    const int64_t w = q * s.stride_w - s.pad_left + (offset - r * s.s) * s.dilation_w;
    return h * s.w + w;
}
// The same of output i, running over [N,P,Q,C].
constexpr int64_t plane_index(const Pool2dShape& s, int64_t i, int64_t offset) {
    return plane_index(s, i / s.c / s.q % s.p, i / s.c % s.q, offset);
}

}  // namespace ck
