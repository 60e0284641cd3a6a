// ck.set_precision: which algorithms an op may choose. A process-wide setting, read once by each op.
#pragma once
#include <cstdint>

namespace ck {

enum class Precision : uint8_t { fast, precise };

Precision precision();
void set_precision(Precision mode);

}  // namespace ck
