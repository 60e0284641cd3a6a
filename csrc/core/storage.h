// Memory shared by tensors: owned (64-byte aligned, from the caching allocator) or borrowed from an external owner.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "core/device.h"

namespace ck {

class Storage {
  public:
    // Owned memory, not initialised.
    Storage(int64_t bytes, Device device);
    // Borrowed memory: `release` runs when the last tensor goes. Element alignment is enough.
    Storage(void* data, int64_t bytes, Device device, bool writable, std::function<void()> release);
    ~Storage();
    Storage(const Storage&) = delete;
    Storage& operator=(const Storage&) = delete;

    void* data() const { return data_; }
    int64_t bytes() const { return bytes_; }
    Device device() const { return device_; }
    bool writable() const { return writable_; }

    // Counts writes, so that data derived from the contents (packed weights) can be cached beside them.
    uint64_t version() const { return version_; }
    void bump_version() { ++version_; }

  private:
    void* data_;
    int64_t bytes_;
    Device device_;
    bool writable_ = true;
    std::atomic<uint64_t> version_{0};
    std::function<void()> release_;  // empty: owned
};

}  // namespace ck
