// The driver alone knows how a tensor map is written. It is asked at run time, so that nothing here links to it.
#include "cuda/tensor_map.h"

namespace ck::cuda {
namespace {

template <class Function>
Function driver_function(const Op& op, const char* name) {
    constexpr unsigned kSince = 12000;  // the CUDA that introduced them
    void* address = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    check(op, cudaGetDriverEntryPointByVersion(name, &address, kSince, cudaEnableDefault, &found), name);
    CK_CHECK_AS(DeviceError, found == cudaDriverEntryPointSuccess, op.name, "the NVIDIA driver must have ", name,
                ", as those for CUDA 12 and later do.");
    return reinterpret_cast<Function>(address);
}

int element_bytes(CUtensorMapDataType type) {
    return type == CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 ? 2 : 4;
}

void encoded(const Op& op, CUresult result, const char* what) {
    CK_CHECK_AS(DeviceError, result == CUDA_SUCCESS, op.name, "the NVIDIA driver must take the tensor map of ", what,
                ". Received: error ", static_cast<int>(result), ".");
}

}  // namespace

TensorMap tiled_map(const Op& op, const TiledMap& map) {
    static const auto encode = driver_function<PFN_cuTensorMapEncodeTiled_v12000>(op, "cuTensorMapEncodeTiled");
    const auto bytes = static_cast<cuuint64_t>(element_bytes(map.type));
    const auto columns = static_cast<cuuint64_t>(map.columns), rows = static_cast<cuuint64_t>(map.rows);
    const cuuint64_t extent[] = {columns, rows, static_cast<cuuint64_t>(map.planes)};
    const cuuint64_t stride[] = {columns * bytes, columns * rows * bytes};
    const cuuint32_t box[] = {static_cast<cuuint32_t>(kBoxBytes / bytes), static_cast<cuuint32_t>(map.box_rows),
                              static_cast<cuuint32_t>(map.box_planes)};
    const cuuint32_t step[] = {1, 1, 1};
    TensorMap result;
    encoded(op,
            encode(&result, map.type, 3, const_cast<void*>(map.data), extent, stride, box, step,
                   CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                   CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
            "a matrix");
    return result;
}

bool in_window_map(const WindowMap& map) {
    for (int i = 0; i < 2; ++i) {
        for (const int corner : {map.lower[i], map.upper[i]})
            if (corner < -128 || corner > 127) return false;
        if (map.step[i] > 8) return false;
    }
    return true;
}

TensorMap window_map(const Op& op, const WindowMap& map) {
    static const auto encode = driver_function<PFN_cuTensorMapEncodeIm2col_v12000>(op, "cuTensorMapEncodeIm2col");
    const auto bytes = static_cast<cuuint64_t>(element_bytes(map.type));
    const cuuint64_t extent[] = {static_cast<cuuint64_t>(map.c), static_cast<cuuint64_t>(map.w),
                                 static_cast<cuuint64_t>(map.h), static_cast<cuuint64_t>(map.n)};
    const cuuint64_t stride[] = {extent[0] * bytes, extent[0] * extent[1] * bytes,
                                 extent[0] * extent[1] * extent[2] * bytes};
    const cuuint32_t step[] = {1, static_cast<cuuint32_t>(map.step[0]), static_cast<cuuint32_t>(map.step[1]), 1};
    TensorMap result;
    encoded(op,
            encode(&result, map.type, 4, const_cast<void*>(map.data), extent, stride, map.lower, map.upper,
                   static_cast<cuuint32_t>(kBoxBytes / bytes), static_cast<cuuint32_t>(map.pixels), step,
                   CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                   CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
            "windows");
    return result;
}

}  // namespace ck::cuda
