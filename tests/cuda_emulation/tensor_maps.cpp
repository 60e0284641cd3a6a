// The driver's encoders of tensor maps, as far as csrc/cuda uses them: rows of 128 bytes with the 128-byte swizzle.
// They refuse what the driver refuses (CUDA Driver API, "Tensor Map Object Management").
#include "tensor_maps.h"

#include <string>

#include "streams.h"

namespace emulation {
namespace {

constexpr uint32_t kRowBytes = 128, kMostBox = 256;

// The part that both kinds share; false: refused.
bool encode(EncodedMap& map, CUtensorMapDataType type, uint32_t rank, void* address, const cuuint64_t* extents,
            const cuuint64_t* strides, uint32_t row_elements, CUtensorMapSwizzle swizzle) {
    map = EncodedMap{};
    map.mark = EncodedMap::kMark;
    map.base = static_cast<const char*>(address);
    map.rank = static_cast<uint8_t>(rank);
    map.bytes = type == CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 ? 2 : 4;
    map.rounds = type == CU_TENSOR_MAP_DATA_TYPE_TFLOAT32;
    if (reinterpret_cast<uintptr_t>(address) % 16) return false;
    if (swizzle != CU_TENSOR_MAP_SWIZZLE_128B || row_elements * map.bytes != kRowBytes) return false;
    map.box[0] = row_elements;
    for (uint32_t i = 0; i < rank; ++i) {
        if (extents[i] == 0 || extents[i] > 0xffffffffu) return false;
        map.extent[i] = static_cast<uint32_t>(extents[i]);
    }
    for (uint32_t i = 0; i + 1 < rank; ++i) {
        if (strides[i] % 16 || strides[i] >= uint64_t{1} << 40) return false;
        map.stride[i] = static_cast<int64_t>(strides[i]);
    }
    return true;
}

CUresult encode_tiled(CUtensorMap* result, CUtensorMapDataType type, cuuint32_t rank, void* address,
                      const cuuint64_t* extents, const cuuint64_t* strides, const cuuint32_t* box,
                      const cuuint32_t* steps, CUtensorMapInterleave, CUtensorMapSwizzle swizzle,
                      CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
    EncodedMap map;
    if (rank != 3 || !encode(map, type, rank, address, extents, strides, box[0], swizzle))
        return CUDA_ERROR_INVALID_VALUE;
    for (uint32_t i = 0; i < rank; ++i) {
        if (box[i] == 0 || box[i] > kMostBox || steps[i] != 1) return CUDA_ERROR_INVALID_VALUE;
        map.box[i] = box[i];
    }
    std::memcpy(result, &map, sizeof map);
    return CUDA_SUCCESS;
}

CUresult encode_im2col(CUtensorMap* result, CUtensorMapDataType type, cuuint32_t rank, void* address,
                       const cuuint64_t* extents, const cuuint64_t* strides, const int* lower, const int* upper,
                       cuuint32_t channels, cuuint32_t pixels, const cuuint32_t* steps, CUtensorMapInterleave,
                       CUtensorMapSwizzle swizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
    EncodedMap map;
    if (rank != 4 || !encode(map, type, rank, address, extents, strides, channels, swizzle) || pixels == 0 ||
        pixels > 1024)
        return CUDA_ERROR_INVALID_VALUE;
    map.im2col = 1;
    map.box[1] = pixels;
    for (int i = 0; i < 2; ++i) {
        if (lower[i] < -128 || lower[i] > 127 || upper[i] < -128 || upper[i] > 127) return CUDA_ERROR_INVALID_VALUE;
        if (steps[i + 1] == 0 || steps[i + 1] > 8) return CUDA_ERROR_INVALID_VALUE;
        map.lower[i] = static_cast<int16_t>(lower[i]);
        map.upper[i] = static_cast<int16_t>(upper[i]);
        map.step[i] = static_cast<uint8_t>(steps[i + 1]);
    }
    std::memcpy(result, &map, sizeof map);
    return CUDA_SUCCESS;
}

}  // namespace
}  // namespace emulation

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
    return emulation::api("cudaGetDriverEntryPointByVersion", [&](emulation::Runtime&) {
        const std::string name = symbol;
        *function = name == "cuTensorMapEncodeTiled"    ? reinterpret_cast<void*>(emulation::encode_tiled)
                    : name == "cuTensorMapEncodeIm2col" ? reinterpret_cast<void*>(emulation::encode_im2col)
                                                        : nullptr;
        *found = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
        return cudaSuccess;
    });
}
