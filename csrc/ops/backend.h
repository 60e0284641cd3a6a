// The table for a tensor's device and element type.
#pragma once
#include "core/backend.h"
#include "core/device.h"

namespace ck {

template <class T>
const Backend<T>& backend(Device device);

}  // namespace ck
