// Stands in for *.cu in builds without nvcc.
#include "core/check.h"
#include "cuda/backend.h"
#include "cuda/graph.h"
#include "cuda/runtime.h"

namespace ck::cuda {
namespace {

[[noreturn]] void refuse() {
    throw DeviceError(concat("[cuda] CUDA is not available: ", unavailable_reason(), "."));
}

}  // namespace

std::string architectures() {
    return "";
}
Versions versions() {
    return {};
}
std::vector<DeviceFacts> devices() {
    return {};
}
std::string unavailable_reason() {
    return "this convkit was built without CUDA";
}
MemoryStats memory_stats() {
    return {};
}
void empty_cache() {}

void* allocate(int64_t, int) {
    refuse();
}
void release(void*, int64_t, int) {}
void copy_to_device(void*, const void*, int64_t, int) {
    refuse();
}
void copy_to_host(void*, const void*, int64_t, int) {
    refuse();
}
void copy_on_device(void*, const void*, int64_t, int) {
    refuse();
}
void copy_between_devices(void*, int, const void*, int, int64_t) {
    refuse();
}
void synchronize(int) {
    refuse();
}
uintptr_t stream_handle(int) {
    refuse();
}
void make_stream_wait(int, uintptr_t) {
    refuse();
}
void wait_for_stream(int, uintptr_t) {
    refuse();
}
void synchronize_device(int) {
    refuse();
}
void begin_capture(int) {
    refuse();
}
std::shared_ptr<Graph> end_capture() {
    refuse();
}
void abandon_capture() {}
void replay(Graph&, uint64_t) {
    refuse();
}
const Backend<float>& backend_float32(int) {
    refuse();
}
const Backend<bfloat16>& backend_bfloat16(int) {
    refuse();
}
const Backend<int64_t>& backend_int64(int) {
    refuse();
}

}  // namespace ck::cuda
