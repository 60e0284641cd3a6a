// Memory of graphs: while one is recorded, allocations of its device come from a pool of its own (memory.cu).
#pragma once
#include <cstdint>

namespace ck::cuda {

using PrivatePool = int64_t;

PrivatePool begin_private_pool(int device);
void end_private_pool(int device);                       // allocations are the device's common ones again
void retire_private_pool(int device, PrivatePool pool);  // freed once its last block is

}  // namespace ck::cuda
