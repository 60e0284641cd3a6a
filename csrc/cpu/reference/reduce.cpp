#include <type_traits>

#include "cpu/reference/reference.h"

namespace ck::cpu::reference {

template <class T>
void reduce(ReduceOp op, const ReduceShape& s, const T* x, T* y) {
    for (int64_t o = 0; o < s.outer; ++o) {
        for (int64_t i = 0; i < s.inner; ++i) {
            const T* column = x + o * s.len * s.inner + i;
            // A running float sum of a million equal values is 1 % off; integers wrap as numpy's do.
            std::conditional_t<std::is_integral_v<T>, uint64_t, double> sum = 0;
            T best = s.len ? column[0] : T(0);
            for (int64_t l = 0; l < s.len; ++l) {
                const T v = column[l * s.inner];
                sum += static_cast<decltype(sum)>(v);
                if (v > best || v != v) best = best != best ? best : v;  // NaN wins and stays
            }
            y[o * s.inner + i] = op == ReduceOp::sum ? T(sum) : best;
        }
    }
}

// The first NaN, else the first maximum.
template <class T>
void argmax(const ReduceShape& s, const T* x, int64_t* index) {
    for (int64_t o = 0; o < s.outer; ++o) {
        for (int64_t i = 0; i < s.inner; ++i) {
            const T* column = x + o * s.len * s.inner + i;
            int64_t best = 0;
            for (int64_t l = 1; l < s.len; ++l) {
                const T v = column[l * s.inner], top = column[best * s.inner];
                if (top == top && (v > top || v != v)) best = l;
            }
            index[o * s.inner + i] = best;
        }
    }
}

template <class T>
void scatter_to_index(const ReduceShape& s, const int64_t* index, const T* dy, T* dx) {
    for (int64_t o = 0; o < s.outer; ++o)
        for (int64_t l = 0; l < s.len; ++l)
            for (int64_t i = 0; i < s.inner; ++i)
                dx[(o * s.len + l) * s.inner + i] = index[o * s.inner + i] == l ? dy[o * s.inner + i] : T(0);
}

}  // namespace ck::cpu::reference

CK_INSTANTIATE(reduce)
CK_INSTANTIATE(argmax)
CK_INSTANTIATE(scatter_to_index)
CK_INSTANTIATE_INT64(reduce)
CK_INSTANTIATE_INT64(argmax)
