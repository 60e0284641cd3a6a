#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "multiprocessor.h"

namespace emulation {
namespace {

constexpr size_t kArenaBytes = 384 * 1024, kZoneBytes = 128, kSyncBytes = 1024;
constexpr unsigned char kPoison = 0xff;

size_t up(size_t value, size_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

char* map_arena() {
    void* arena = mmap(nullptr, kArenaBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED) {
        std::perror("CUDA emulation: no memory for a block");
        std::abort();
    }
    return static_cast<char*>(arena);
}

void poison(char* begin, size_t bytes) {
    const race::Unwatched unwatched;
    if (config().poison) std::memset(begin, kPoison, bytes);
}

}  // namespace

SharedMemory::SharedMemory() : arena_(map_arena()) {}

void SharedMemory::begin_block(size_t dynamic_bytes) {
    if (kRaceDetector) {  // new pages have no history: blocks neither race for them nor order each other by them
        const race::Unwatched unwatched;
        munmap(arena_, kArenaBytes);
        arena_ = map_arena();
    }
    arrays_.clear();
    zones_.clear();
    dynamic_bytes_ = dynamic_bytes;
    used_ = up(dynamic_bytes + kZoneBytes, kZoneBytes);
    zones_.push_back({dynamic_bytes, used_});
    address::allow(arena_, kArenaBytes);
    poison(arena_, used_);
    address::forbid(arena_ + dynamic_bytes, kArenaBytes - kSyncBytes - dynamic_bytes);
}

void* SharedMemory::declare(const void* key, size_t bytes, size_t alignment) {
    size_t declared = bytes;
    for (const Array& array : arrays_) {
        if (array.key == key) return array.begin;
        declared += array.bytes;
    }
    if (declared > kStaticSharedBytes)
        fail("%zu bytes of static shared memory, at most %zu are allowed", declared, kStaticSharedBytes);
    if (declared + dynamic_bytes_ > config().shared_bytes)
        fail("%zu bytes of shared memory, the device has %zu", declared + dynamic_bytes_, config().shared_bytes);
    const size_t begin = up(used_, alignment), end = begin + bytes;
    if (up(end + kZoneBytes, kZoneBytes) > kArenaBytes - kSyncBytes) fail("too many arrays in shared memory");
    arrays_.push_back({key, arena_ + begin, bytes});
    used_ = up(end + kZoneBytes, kZoneBytes);
    zones_.push_back({end, used_});
    address::allow(arena_ + begin, used_ - begin);
    poison(arena_ + begin, used_ - begin);
    address::forbid(arena_ + end, used_ - end);
    return arena_ + begin;
}

std::string SharedMemory::end_block() const {
    if (EMULATION_ASAN || !config().poison) return "";
    for (const auto& [begin, end] : zones_)
        for (size_t i = begin; i < end; ++i)
            if (static_cast<unsigned char>(arena_[i]) != kPoison)
                return "the block wrote " + std::to_string(i - begin) +
                       " bytes past the end of an array in shared memory";
    return "";
}

bool SharedMemory::contains(const void* address, size_t bytes) const {
    const char* begin = static_cast<const char*>(address);
    const char* end = begin + bytes;
    if (begin >= arena_ && end <= arena_ + dynamic_bytes_) return true;
    for (const Array& array : arrays_)
        if (begin >= array.begin && end <= array.begin + array.bytes) return true;
    return false;
}

char* SharedMemory::sync_word(int number) const {
    return arena_ + kArenaBytes - kSyncBytes + 8 * number;
}

void* static_shared(const void* key, size_t bytes, size_t alignment) {
    const race::Unwatched unwatched;
    return multiprocessor->shared.declare(key, bytes, alignment);
}

void* dynamic_shared() {
    return multiprocessor->shared.dynamic();
}

bool in_shared(const void* address, size_t bytes) {
    return multiprocessor->shared.contains(address, bytes);
}

}  // namespace emulation
