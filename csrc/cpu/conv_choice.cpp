#include "cpu/conv_choice.h"

#include <algorithm>
#include <atomic>

#include "core/check.h"
#include "core/precision.h"
#include "cpu/conv2d_scatter.h"
#include "cpu/depthwise.h"
#include "cpu/dispatch.h"
#include "cpu/grouped.h"
#include "cpu/pixel_conv.h"
#include "cpu/winograd_tiles.h"

namespace ck::cpu {
namespace {

constexpr ConvAlgorithm kAll[] = {ConvAlgorithm::direct,    ConvAlgorithm::winograd4, ConvAlgorithm::winograd2,
                                  ConvAlgorithm::depthwise, ConvAlgorithm::grouped,   ConvAlgorithm::scatter,
                                  ConvAlgorithm::pixels};

std::atomic<int> forced{-1};  // a ConvAlgorithm, or none

// Fewest channels for which tiles save more than their transforms cost, which grow with them as the direct sum does,
// but not with what they meet: of a forward pass and a data gradient the channels that are summed, of a weight gradient
// C, which fills the vectors. The crossings are from `convkit bench --algo all` over 1 to 64 channels on either side,
// and close to each other on AVX-512 and AVX2.
int64_t least_channels(ConvPass pass, WinogradTileSize size) {
    if (size == WinogradTileSize::f4x3_strided) return pass == ConvPass::weights ? 64 : 32;
    if (pass == ConvPass::weights || size == WinogradTileSize::f2x3) return 12;
    return size == WinogradTileSize::f4x3 ? 6 : 8;
}

// Input channels up to which spreading windows beats tiles as well: 5x5 tiles save less than 3x3 ones.
int64_t scatter_channels(const Conv2dShape& s) {
    return s.r == 5 ? 6 : 5;
}
// Fewer filters than this are multiplied sooner than one window of sums is added to memory.
constexpr int64_t kScatterFilters = 5;

// So few 4x4 tiles meet so many filters that these are the work, of which F(2x2) has 16/36: one image of 7x7 or 8x8,
// 1.1 to 2.5 times as fast; two images are already better off with the larger tiles.
constexpr int64_t kLoneTiles = 4;
constexpr int64_t kManyWeights = 8 * 1024;  // C * O

// How many times fewer multiplications the tiles take than the direct sum, those beyond the image's edge included.
double winograd_saving(ConvPass pass, WinogradTileSize size, const Conv2dShape& s) {
    const bool data = pass == ConvPass::data;
    const WinogradKernels& kernel = winograd_kernels(size, data);
    const int64_t outputs = kernel.outputs, points = kernel.points;
    const int64_t tiles = ceil_div(data ? s.h : s.p, outputs) * ceil_div(data ? s.w : s.q, outputs);
    return static_cast<double>(s.r * s.s * s.p * s.q) / static_cast<double>(points * points * tiles);
}
// What pays for the transforms. Those of stride 2 are larger, and save 1.78 at most: maps of nearly whole tiles alone.
double least_saving(WinogradTileSize size) {
    return size == WinogradTileSize::f4x3_strided ? 1.7 : 1.5;
}

// The tiles that save most of those that apply, or F(2x2) for few of them; direct when they save less than their
// transforms cost. An image of fewer rows or columns than the filter has taps that meet padding only: their gradient is
// zero, not nearly zero.
ConvAlgorithm choose_dense(ConvPass pass, const Conv2dShape& s) {
    if (s.h < s.r || s.w < s.s) return ConvAlgorithm::direct;
    const bool data = pass == ConvPass::data;
    const int64_t channels = data ? s.o : s.c;
    const int64_t tiles = s.n * ceil_div(data ? s.h : s.p, 4) * ceil_div(data ? s.w : s.q, 4);
    const bool few_tiles = tiles <= kLoneTiles && s.c * s.o >= kManyWeights;
    ConvAlgorithm best = ConvAlgorithm::direct;
    double saving = 0;
    for (ConvAlgorithm algorithm : {ConvAlgorithm::winograd4, ConvAlgorithm::winograd2}) {
        const WinogradTileSize size = winograd_tile_size(algorithm, s);
        if (!winograd_applies(s, size, data) || channels < least_channels(pass, size)) continue;
        const double here = winograd_saving(pass, size, s);
        if (here < least_saving(size) || (here < saving && !few_tiles)) continue;  // F(2x2) comes last
        // Six points cost a factor of 4 in rounding errors, four points nothing: docs/kernels.md.
        if (size != WinogradTileSize::f2x3 && precision() == Precision::precise) continue;
        best = algorithm;
        saving = here;
    }
    return best;
}

bool applies(ConvPass pass, ConvAlgorithm algorithm, const Conv2dShape& s) {
    switch (algorithm) {
        case ConvAlgorithm::direct:
            return !is_depthwise(s);
        case ConvAlgorithm::winograd4:
        case ConvAlgorithm::winograd2:
            return winograd_applies(s, winograd_tile_size(algorithm, s), pass == ConvPass::data);
        case ConvAlgorithm::depthwise:
            return is_depthwise(s);
        case ConvAlgorithm::grouped:
            return grouped_applies(s);
        case ConvAlgorithm::scatter:
            return pass == ConvPass::data && scatter_applies(s);
        case ConvAlgorithm::pixels:
            return pass != ConvPass::data && pixel_conv_applies(s);
    }
    return false;
}

// A register tile is wider than such a group; one of several vectors fills it, for a weight gradient sooner.
bool grouped_pays(ConvPass pass, const Conv2dShape& s) {
    const int64_t vectors = std::min(s.c, s.o) / s.groups / kernels().vector_width;
    return grouped_applies(s) && vectors < (pass == ConvPass::weights ? 2 : 4);
}

// Of so few input channels the direct data gradient would fill half of its vectors at most, or it would sum at many
// pixels of dx that few of dy reach: a filter without padding on a small image.
bool scatter_pays(ConvPass pass, const Conv2dShape& s) {
    const bool narrow = 2 * s.c <= kernels().vector_width;
    const bool few_windows = s.stride_h * s.stride_w == 1 && 3 * s.p * s.q <= 2 * s.h * s.w;
    return pass == ConvPass::data && s.groups == 1 && s.r * s.s > 1 && s.o >= kScatterFilters && scatter_applies(s) &&
           (narrow || few_windows);
}

ConvAlgorithm choose(ConvPass pass, const Conv2dShape& s) {
    if (is_depthwise(s)) return ConvAlgorithm::depthwise;
    if (grouped_pays(pass, s)) return ConvAlgorithm::grouped;
    if (applies(pass, ConvAlgorithm::pixels, s)) return ConvAlgorithm::pixels;  // filters would fill a vector badly
    const ConvAlgorithm dense = choose_dense(pass, s);
    return scatter_pays(pass, s) && (dense == ConvAlgorithm::direct || s.c <= scatter_channels(s))
               ? ConvAlgorithm::scatter
               : dense;
}

}  // namespace

std::string name(ConvAlgorithm algorithm) {
    switch (algorithm) {
        case ConvAlgorithm::direct:
            return "direct";
        case ConvAlgorithm::winograd4:
            return "winograd4";
        case ConvAlgorithm::winograd2:
            return "winograd2";
        case ConvAlgorithm::depthwise:
            return "depthwise";
        case ConvAlgorithm::grouped:
            return "grouped";
        case ConvAlgorithm::scatter:
            return "scatter";
        case ConvAlgorithm::pixels:
            return "pixels";
    }
    return "";
}

WinogradTileSize winograd_tile_size(ConvAlgorithm algorithm, const Conv2dShape& s) {
    if (algorithm == ConvAlgorithm::winograd4)
        return s.stride_h == 2 ? WinogradTileSize::f4x3_strided : WinogradTileSize::f4x3;
    return s.r == 5 ? WinogradTileSize::f2x5 : WinogradTileSize::f2x3;
}

ConvAlgorithm choose_conv(ConvPass pass, const Conv2dShape& s) {
    const int wanted = forced;
    if (wanted >= 0 && applies(pass, static_cast<ConvAlgorithm>(wanted), s)) return static_cast<ConvAlgorithm>(wanted);
    return choose(pass, s);
}

std::vector<ConvAlgorithm> applicable_conv(ConvPass pass, const Conv2dShape& s) {
    std::vector<ConvAlgorithm> found;
    for (ConvAlgorithm algorithm : kAll)
        if (applies(pass, algorithm, s)) found.push_back(algorithm);
    return found;
}

void force_conv(const std::string& wanted) {
    if (wanted == "auto") {
        forced = -1;
        return;
    }
    std::string names = "auto";
    for (ConvAlgorithm algorithm : kAll) {
        if (name(algorithm) == wanted) {
            forced = static_cast<int>(algorithm);
            return;
        }
        names += ", " + name(algorithm);
    }
    throw ValueError(concat("[conv2d] the algorithm must be one of ", names, ". Received: ", wanted, "."));
}

}  // namespace ck::cpu
