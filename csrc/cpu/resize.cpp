// Drivers of the resize family.
#include "cpu/backend.h"
#include "cpu/resample.h"

namespace ck::cpu {
namespace {

std::vector<ResampleAxis::Entry> interpolations(ResizeMode mode, int64_t in, int64_t out) {
    std::vector<ResampleAxis::Entry> entries;
    for (int64_t i = 0; i < out; ++i) {
        const Interpolation<double> at = interpolation(mode, i, in, out);
        const double share = at.high > at.low ? at.fraction : 0;
        entries.push_back({i, at.low, static_cast<float>(1 - share)});
        if (share > 0) entries.push_back({i, at.high, static_cast<float>(share)});  // none: not even as NaN
    }
    return entries;
}

}  // namespace

void upsample(const Resize2dShape& s, ResizeMode mode, const float* x, float* y) {
    const ResampleAxis rows(s.p, interpolations(mode, s.h, s.p)), columns(s.q, interpolations(mode, s.w, s.q));
    resample(s.n, s.h, s.w, s.c, rows, columns, x, y);
}

void upsample_gradient(const Resize2dShape& s, ResizeMode mode, const float* dy, float* dx) {
    const ResampleAxis rows(s.h, transposed(interpolations(mode, s.h, s.p)));
    const ResampleAxis columns(s.w, transposed(interpolations(mode, s.w, s.q)));
    resample(s.n, s.p, s.q, s.c, rows, columns, dy, dx);
}

}  // namespace ck::cpu
