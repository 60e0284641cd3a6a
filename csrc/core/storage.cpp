#include "core/storage.h"

#include <utility>

#include "core/allocator.h"
#include "core/device_memory.h"

namespace ck {
namespace {

DeviceMemory installed{};

}  // namespace

void set_device_memory(const DeviceMemory& functions) {
    installed = functions;
}
const DeviceMemory& device_memory() {
    return installed;
}

Storage::Storage(int64_t bytes, Device device)
    : data_(device.is_cpu() ? allocate(bytes) : device_memory().allocate(bytes, device.index)),
      bytes_(bytes),
      device_(device) {}

Storage::Storage(void* data, int64_t bytes, Device device, bool writable, std::function<void()> release)
    : data_(data), bytes_(bytes), device_(device), writable_(writable), release_(std::move(release)) {}

Storage::~Storage() {
    if (release_) {
        release_();
    } else if (!device_.is_cpu()) {
        device_memory().release(data_, bytes_, device_.index);
    } else {
        ck::release(data_, bytes_);
    }
}

}  // namespace ck
