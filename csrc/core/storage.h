// Memory shared by tensors: owned (64-byte aligned, from the caching allocator) or borrowed from an external owner.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

#include "core/derived.h"
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

    // Counts writes, so that data derived from the contents can be cached beside them.
    uint64_t version() const { return derived_.version(); }
    uint64_t writes() const { return derived_.writes(); }
    void bump_version() { derived_.contents_written(); }
    // False while another library holds the memory and may write it.
    bool writes_counted() { return !release_ && derived_.writes_counted(); }
    // Null for borrowed memory: its owner writes without telling, even where this library may not.
    DerivedCache* derived() { return release_ ? nullptr : &derived_; }
    // Around the time in which another library holds the memory and may write it.
    void begin_outside_writes() { derived_.begin_outside_writes(); }
    void end_outside_writes() { derived_.end_outside_writes(); }

  private:
    void* data_;
    int64_t bytes_;
    Device device_;
    bool writable_ = true;
    DerivedCache derived_;
    std::function<void()> release_;  // empty: owned
};

}  // namespace ck
