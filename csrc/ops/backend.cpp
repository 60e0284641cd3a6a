#include "ops/backend.h"

#include "core/check.h"
#include "cpu/backend.h"

namespace ck {
namespace {

void require_cpu(Device device) {
    if (!device.is_cpu()) throw DeviceError(concat("[backend] no kernels for device ", device.str(), "."));
}

}  // namespace

template <>
const Backend<float>& backend<float>(Device device) {
    require_cpu(device);
    return cpu::backend_float32();
}

template <>
const Backend<double>& backend<double>(Device device) {
    require_cpu(device);
    return cpu::backend_float64();
}

}  // namespace ck
