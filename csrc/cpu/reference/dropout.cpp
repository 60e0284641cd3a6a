#include "core/philox.h"
#include "cpu/reference/reference.h"

namespace ck::cpu::reference {

template <class T>
void dropout(int64_t n, PhiloxKey key, double p, const T* x, T* y) {
    const T scale = p < 1 ? T(1 / (1 - p)) : T(0);
    for (int64_t i = 0; i < n; i += 4) {
        const PhiloxWords words = philox4x32(key.seed, key.offset / 4 + static_cast<uint64_t>(i / 4));
        for (int64_t j = i; j < n && j < i + 4; ++j) y[j] = unit_float(words.word[j - i]) >= p ? x[j] * scale : T(0);
    }
}

}  // namespace ck::cpu::reference

CK_INSTANTIATE(dropout)
