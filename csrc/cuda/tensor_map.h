// Tensor maps: what TMA must know of a tensor in device memory to load boxes of it. Rows of a box are 128 bytes in
// shared memory, permuted by the 128-byte swizzle, as wgmma reads them.
#pragma once
#include <cudaTypedefs.h>

#include "core/dtype.h"
#include "cuda/launch.h"

namespace ck::cuda {

using TensorMap = CUtensorMap;

template <class T>  // of a row of a box
constexpr int kBoxElements = kBoxBytes / static_cast<int>(sizeof(T));

// bfloat16, or float: those TMA rounds to TF32 on their way, by the type alone (as CUTLASS does: the comment "TMA
// converts f32 input to tf32" of include/cutlass/gemm/collective/sm90_mma_tma_gmma_ss_warpspecialized.hpp).
template <class T>
constexpr CUtensorMapDataType kMapType = sizeof(T) == 2 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                                        : CU_TENSOR_MAP_DATA_TYPE_TFLOAT32;

// A dense tensor [planes,rows,columns], columns of whole 16 bytes from an address that is a multiple of 16. A box is
// [box_planes,box_rows,128 bytes].
struct TiledMap {
    const void* data;
    CUtensorMapDataType type;
    int64_t columns, rows, planes;
    int box_rows, box_planes;
};
TensorMap tiled_map(const Op& op, const TiledMap& map);

// Windows of x[N,H,W,C], of which a box takes `pixels` at one tap of a filter: along w from lower[0] to W - 1 +
// upper[0] in steps of step[0], along h by [1].
struct WindowMap {
    const void* data;
    CUtensorMapDataType type;
    int64_t n, h, w, c;
    int lower[2], upper[2], step[2], pixels;
};
TensorMap window_map(const Op& op, const WindowMap& map);
// Whether the driver takes these corners and steps.
bool in_window_map(const WindowMap& map);

}  // namespace ck::cuda
