// The memory of the emulated devices: an arena each, which only kernels and the runtime's copies can touch.
#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <utility>

namespace emulation {

struct Allocation {
    const char* begin = nullptr;
    size_t bytes = 0;
    bool freed = false;
    const char* end() const { return begin + bytes; }
    bool holds(const void* address, size_t count) const {
        const char* first = static_cast<const char*>(address);
        return first >= begin && first + count <= end();
    }
};

class DeviceMemory {
  public:
    explicit DeviceMemory(size_t bytes);
    ~DeviceMemory();
    DeviceMemory(const DeviceMemory&) = delete;
    DeviceMemory& operator=(const DeviceMemory&) = delete;

    // Null when less than `bytes` are left. Blocks begin at multiples of 256 and are followed by a zone of their own.
    void* allocate(size_t bytes);
    bool release(void* block);  // false: no block begins there
    size_t total() const { return total_; }
    size_t used() const { return used_; }
    bool in_arena(const void* address) const { return address >= arena_ && address < arena_ + arena_bytes_; }
    // The allocation that holds the address, or the zone behind which does; `bytes` 0: none.
    Allocation find(const void* address) const;
    // What has been written past the end of a block, or "".
    std::string overwritten() const;

    void open();  // nests
    void close();

  private:
    struct Block {
        size_t bytes, span;  // asked for; with the zone
        bool freed;
    };
    std::string overwritten(size_t begin, const Block& block) const;
    size_t place(size_t span);
    void forget_freed();

    const size_t total_, arena_bytes_;
    char* arena_;
    size_t used_ = 0, high_ = 0;  // high: the end of what was ever given out
    size_t quarantined_ = 0;
    int open_ = 0;
    std::map<size_t, Block> blocks_;  // by offset, freed ones in quarantine among them
    std::map<size_t, size_t> gaps_;   // by offset: bytes
};

// The devices are made at the first use.
int device_count();
DeviceMemory& device_memory(int device);
void remake_devices();
// The device whose arena holds the address, or -1.
int device_of(const void* address);
// "device memory, 12 bytes into a block of 16", "freed device memory ..."; "" for other addresses.
std::string describe_device_address(const void* address);

class Opened {
  public:
    explicit Opened(int device) : memory_(device_memory(device)) { memory_.open(); }
    ~Opened() { memory_.close(); }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;

  private:
    DeviceMemory& memory_;
};

}  // namespace emulation
