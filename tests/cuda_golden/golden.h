// What the programs of golden tests share: inputs, and a kernel's printed output.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "cuda/launch.h"

namespace ck::cuda {

inline cudaStream_t stream() {
    return nullptr;
}
inline void fail(const Op& op, cudaError_t status, const char* what) {
    std::fprintf(stderr, "%s: %s: %s\n", op.name, what, cudaGetErrorString(status));
    std::exit(2);
}

// The generator of all inputs: splitmix64, as everywhere in the tests.
inline uint32_t next_bits() {
    static uint64_t state = 1;
    uint64_t z = state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return static_cast<uint32_t>(z >> 32);
}
inline std::vector<uint32_t> bits(size_t count) {
    std::vector<uint32_t> words(count);
    for (uint32_t& word : words) word = next_bits();
    return words;
}
inline uint32_t integer() {  // -8..8 as float
    const float value = static_cast<float>(static_cast<int>(next_bits() % 17) - 8);
    uint32_t word;
    static_assert(sizeof word == sizeof value);
    __builtin_memcpy(&word, &value, sizeof word);
    return word;
}

// Words in device memory.
struct Words {
    uint32_t* data = nullptr;

    explicit Words(const std::vector<uint32_t>& values) : Words(values.size()) {
        check({"golden", {}}, cudaMemcpy(data, values.data(), values.size() * 4, cudaMemcpyHostToDevice), "copy");
    }
    explicit Words(size_t count) {
        check({"golden", {}}, cudaMalloc(reinterpret_cast<void**>(&data), count * 4), "memory");
    }
    ~Words() { cudaFree(data); }
    Words(const Words&) = delete;
    Words& operator=(const Words&) = delete;
    void print(const char* name, size_t count) const {
        std::vector<uint32_t> values(count);
        check({name, {}}, cudaMemcpy(values.data(), data, count * 4, cudaMemcpyDeviceToHost), "copy");
        std::printf("%s", name);
        for (size_t i = 0; i < count; ++i) std::printf("%s%08x", i % 8 ? " " : "\n  ", values[i]);
        std::printf("\n");
    }
};

}  // namespace ck::cuda
