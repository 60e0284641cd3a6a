// Which algorithm a convolution runs: the one place that decides, from the shape, for each of the three passes.
#pragma once
#include <string>
#include <vector>

#include "core/shapes.h"
#include "cpu/winograd.h"

namespace ck::cpu {

enum class ConvPass : uint8_t { forward, data, weights };
enum class ConvAlgorithm : uint8_t { direct, winograd4, winograd2, depthwise, grouped, scatter, pixels };

ConvAlgorithm choose_conv(ConvPass pass, const Conv2dShape& s);
std::vector<ConvAlgorithm> applicable_conv(ConvPass pass, const Conv2dShape& s);  // the chosen one among them

// For measurements: what choose_conv returns where it applies, instead of its choice. "auto" lifts it.
void force_conv(const std::string& name);  // ValueError that lists the names
std::string name(ConvAlgorithm algorithm);

// The tile of winograd4 or winograd2 for filters and stride of s.
WinogradTileSize winograd_tile_size(ConvAlgorithm algorithm, const Conv2dShape& s);

}  // namespace ck::cpu
