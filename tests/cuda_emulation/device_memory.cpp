#include "device_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "emulation.h"
#include "faults.h"
#include "multiprocessor.h"
#include "sanitizers.h"

namespace emulation {
namespace {

constexpr size_t kAlignment = 256, kZone = 256, kPage = 4096;
constexpr size_t kQuarantine = size_t{64} << 20;  // freed bytes that wait before their addresses are given out again
constexpr unsigned char kPoison = 0xff;

size_t up(size_t value, size_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

// Twice the memory in addresses, so that fragments and the quarantine never look like lack of memory.
DeviceMemory::DeviceMemory(size_t bytes) : total_(bytes), arena_bytes_(up(2 * bytes + 2 * kQuarantine, kPage)) {
    void* arena = mmap(nullptr, arena_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED) {
        std::perror("CUDA emulation: no addresses for the memory of a device");
        std::abort();
    }
    arena_ = static_cast<char*>(arena);
}

DeviceMemory::~DeviceMemory() {
    address::allow(arena_, high_);
    munmap(arena_, arena_bytes_);
}

// The offset of so many unused bytes; the size of the arena: there are none.
size_t DeviceMemory::place(size_t span) {
    auto gap = gaps_.begin();
    while (gap != gaps_.end() && gap->second < span) ++gap;
    if (gap != gaps_.end()) {
        const auto [begin, bytes] = *gap;
        gaps_.erase(gap);
        if (bytes > span) gaps_[begin + span] = bytes - span;
        return begin;
    }
    if (high_ + span > arena_bytes_) return arena_bytes_;
    high_ += span;
    return high_ - span;
}

void* DeviceMemory::allocate(size_t bytes) {
    if (bytes > total_ - used_) return nullptr;
    const size_t span = up(std::max<size_t>(bytes, 1), kAlignment) + kZone;
    size_t begin = place(span);
    if (begin == arena_bytes_) {
        forget_freed();
        begin = place(span);
        if (begin == arena_bytes_) return nullptr;
    }
    blocks_[begin] = {bytes, span, false};
    used_ += bytes;
    address::allow(arena_ + begin, span);
    open();
    {
        const race::Unwatched unwatched;
        std::memset(arena_ + begin + bytes, kPoison, span - bytes);
        if (config().poison) std::memset(arena_ + begin, kPoison, bytes);
    }
    close();
    address::forbid(arena_ + begin + bytes, span - bytes);
    return arena_ + begin;
}

bool DeviceMemory::release(void* block) {
    if (!in_arena(block)) return false;
    const auto found = blocks_.find(static_cast<size_t>(static_cast<char*>(block) - arena_));
    if (found == blocks_.end() || found->second.freed) return false;
    Block& freed = found->second;
    freed.freed = true;
    used_ -= freed.bytes;
    quarantined_ += freed.span;
    address::forbid(block, freed.bytes);
    if (quarantined_ > kQuarantine) forget_freed();
    return true;
}

void DeviceMemory::forget_freed() {
    for (auto block = blocks_.begin(); block != blocks_.end();) {
        if (!block->second.freed) {
            ++block;
            continue;
        }
        size_t begin = block->first, span = block->second.span;
        const size_t first_page = up(begin, kPage), end_page = (begin + span) / kPage * kPage;
        if (first_page < end_page) madvise(arena_ + first_page, end_page - first_page, MADV_DONTNEED);
        block = blocks_.erase(block);
        const auto after = gaps_.find(begin + span);
        if (after != gaps_.end()) {
            span += after->second;
            gaps_.erase(after);
        }
        auto before = gaps_.lower_bound(begin);
        if (before != gaps_.begin() && (--before)->first + before->second == begin)
            before->second += span;
        else
            gaps_[begin] = span;
    }
    quarantined_ = 0;
}

Allocation DeviceMemory::find(const void* address) const {
    if (!in_arena(address)) return {};
    const size_t offset = static_cast<size_t>(static_cast<const char*>(address) - arena_);
    auto block = blocks_.upper_bound(offset);
    if (block == blocks_.begin()) return {};
    --block;
    if (offset >= block->first + block->second.span) return {};
    return {arena_ + block->first, block->second.bytes, block->second.freed};
}

std::string DeviceMemory::overwritten(size_t begin, const Block& block) const {
    const auto* bytes = reinterpret_cast<const unsigned char*>(arena_) + begin;
    for (size_t i = block.bytes; i < block.span; ++i)
        if (bytes[i] != kPoison)
            return "a block of " + std::to_string(block.bytes) + " bytes of device memory was written to at byte " +
                   std::to_string(i);
    return "";
}

std::string DeviceMemory::overwritten() const {
    if (EMULATION_ASAN || kRaceDetector) return "";  // these notice the write itself, or only races
    for (const auto& [begin, block] : blocks_) {
        const std::string text = overwritten(begin, block);
        if (!text.empty()) return text;
    }
    return "";
}

void DeviceMemory::open() {
    if (open_++ == 0 && high_) mprotect(arena_, up(high_, kPage), PROT_READ | PROT_WRITE);
}

void DeviceMemory::close() {
    if (--open_ == 0 && high_ && config().protect) mprotect(arena_, up(high_, kPage), PROT_NONE);
}

// ---- all devices ----------------------------------------------------------------------------------------------------

namespace {

std::vector<std::unique_ptr<DeviceMemory>>& memories() {
    // Never destroyed: what frees device memory at the exit of the process may come later.
    static auto& all = *new std::vector<std::unique_ptr<DeviceMemory>>;
    static const bool made = [] {
        catch_faults();
        for (int i = 0; i < config().devices; ++i) all.push_back(std::make_unique<DeviceMemory>(config().device_bytes));
        return true;
    }();
    static_cast<void>(made);
    return all;
}

}  // namespace

int device_count() {
    return static_cast<int>(memories().size());
}

DeviceMemory& device_memory(int device) {
    return *memories()[device];
}

void remake_devices() {
    auto& all = memories();
    all.clear();
    for (int i = 0; i < config().devices; ++i) all.push_back(std::make_unique<DeviceMemory>(config().device_bytes));
}

int device_of(const void* address) {
    for (int i = 0; i < device_count(); ++i)
        if (device_memory(i).in_arena(address)) return i;
    return -1;
}

std::string describe_device_address(const void* address) {
    const int device = device_of(address);
    if (device < 0) return "";
    const Allocation block = device_memory(device).find(address);
    std::string text = "memory of device " + std::to_string(device);
    if (!block.begin) return text + " that was never given out";
    text += ", byte " + std::to_string(static_cast<const char*>(address) - block.begin) + " of a block of " +
            std::to_string(block.bytes);
    return block.freed ? "freed " + text : text;
}

void check_global(const void* address, size_t bytes, const char* what) {
    auto& known = multiprocessor->known_global;
    const char* begin = static_cast<const char*>(address);
    for (const auto& range : known)
        if (begin >= range.begin && begin + bytes <= range.end) return;
    const int device = device_of(address);
    const Allocation block = device < 0 ? Allocation{} : device_memory(device).find(address);
    if (block.freed || !block.holds(address, bytes)) {
        const std::string where = describe_device_address(address);
        fail("%s %zu bytes at %p: %s", what, bytes, address, where.empty() ? "no device memory" : where.c_str());
    }
    known[1] = known[0];
    known[0] = {block.begin, block.end()};
}

}  // namespace emulation
