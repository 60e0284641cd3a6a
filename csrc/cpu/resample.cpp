#include "cpu/resample.h"

#include <algorithm>

#include "core/parallel.h"
#include "cpu/streaming.h"

namespace ck::cpu {

ResampleAxis::ResampleAxis(int64_t outputs, const std::vector<Entry>& entries)
    : bands(outputs, ResampleBand{0, 0, nullptr, 1}), weights(entries.size()) {
    for (size_t i = 0; i < entries.size(); ++i) {
        ResampleBand& band = bands[entries[i].output];
        weights[i] = entries[i].weight;
        if (band.count++ == 0) {
            band.first = entries[i].input;
            band.weight = &weights[i];
        }
    }
}

std::vector<ResampleAxis::Entry> transposed(std::vector<ResampleAxis::Entry> entries) {
    for (ResampleAxis::Entry& e : entries) std::swap(e.output, e.input);
    std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.output < b.output; });
    return entries;
}

namespace {

bool same(const ResampleBand& a, const ResampleBand& b) {
    return a.first == b.first && a.count == b.count && a.divisor == b.divisor &&
           std::equal(a.weight, a.weight + a.count, b.weight);
}

}  // namespace

void resample(int64_t n, int64_t h, int64_t w, int64_t c, const ResampleAxis& rows, const ResampleAxis& columns,
              const float* x, float* y) {
    const int64_t p = static_cast<int64_t>(rows.bands.size()), q = static_cast<int64_t>(columns.bands.size());
    // Few output rows (global averages): channels are cut too, in pieces of four vectors of AVX-512.
    const int64_t piece = n * p < 32 ? std::min<int64_t>(c, 64) : c, pieces = ceil_div(c, std::max<int64_t>(1, piece));
    constexpr int64_t kGrain = 32 * 1024;  // inputs and outputs of a task: 5 to 20 us
    const int64_t inputs = (static_cast<int64_t>(rows.weights.size()) / p + 1) *
                           static_cast<int64_t>(columns.weights.size());  // of a row, per channel
    const int64_t repeats = h > 0 && p % h == 0 ? p / h : 1;              // a group has all copies of a row
    const int64_t rows_of_grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, (inputs + q) * piece));
    const int64_t group = ceil_div(rows_of_grain, repeats) * repeats;
    const bool stream = worth_streaming(y, n * p * q * c, c);
    parallel_for(ceil_div(n * p, group) * pieces, [&](int64_t task) {
        const int64_t first = task / pieces * group, last = std::min(n * p, first + group);
        const int64_t begin = task % pieces * piece, channels = std::min(piece, c - begin);
        for (int64_t i = first; i < last; ++i) {
            const ResampleBand& row = rows.bands[i % p];
            float* const to = y + i * q * c + begin;
            // Rows that repeat, as those of a repeated pixel, are copies of one that the cache still holds.
            if (i > first && i % p > 0 && channels == c && !stream && same(row, rows.bands[i % p - 1])) {
                std::copy_n(to - q * c, q * c, to);
                continue;
            }
            kernels().resize.resample_row(row, q, columns.bands.data(), w, c, channels, x + i / p * h * w * c + begin,
                                          to, stream);
        }
    });
}

}  // namespace ck::cpu
