#include <cstring>

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

}  // namespace ck::cpu::reference

CK_INSTANTIATE(strided_copy)
