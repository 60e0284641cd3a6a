#include "core/precision.h"

#include <atomic>

namespace ck {
namespace {

std::atomic<Precision> setting{Precision::fast};

}  // namespace

Precision precision() {
    return setting;
}
void set_precision(Precision mode) {
    setting = mode;
}

}  // namespace ck
