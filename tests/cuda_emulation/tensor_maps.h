// What the emulated driver writes into the 128 bytes of a tensor map, and the models of TMA read.
#pragma once
#include "cudaTypedefs.h"

#include <cstring>

namespace emulation {

struct EncodedMap {
    const char* base;
    int64_t stride[3];            // bytes, from the second dimension on
    uint32_t extent[4], box[3];   // the innermost dimension first
    int16_t lower[2], upper[2];   // im2col: corners of the walk, of w and h, added to 0 and extent - 1
    uint8_t rank, bytes, im2col;  // bytes: of an element
    uint8_t step[2];              // im2col: of w and h
    uint8_t rounds;               // to TF32
    uint32_t mark;

    static constexpr uint32_t kMark = 0x7e4504a9;
    uint32_t rows() const { return im2col ? box[1] : box[1] * (rank > 2 ? box[2] : 1); }  // of 128 bytes
};
static_assert(sizeof(EncodedMap) <= sizeof(CUtensorMap), "a tensor map has 128 bytes");

inline EncodedMap decode(const CUtensorMap& map) {
    EncodedMap result;
    std::memcpy(&result, &map, sizeof result);
    return result;
}

}  // namespace emulation
