#include "core/storage.h"

#include <utility>

#include "core/allocator.h"

namespace ck {

Storage::Storage(int64_t bytes, Device device) : data_(allocate(bytes)), bytes_(bytes), device_(device) {}

Storage::Storage(void* data, int64_t bytes, Device device, bool writable, std::function<void()> release)
    : data_(data), bytes_(bytes), device_(device), writable_(writable), release_(std::move(release)) {}

Storage::~Storage() {
    if (release_) {
        release_();
    } else {
        ck::release(data_, bytes_);
    }
}

}  // namespace ck
