// CUDA graphs: what one training step queues, recorded once and replayed with one call.
#pragma once
#include <cstdint>
#include <memory>

namespace ck::cuda {

class Graph;

// Records instead of running what is queued on the device's stream until end_capture. Memory taken meanwhile belongs to
// the graph: it holds the results of the last replay, and nothing else may take it before the graph is gone.
void begin_capture(int device);
std::shared_ptr<Graph> end_capture();
void abandon_capture();  // after an error in between

// Queues everything again. Draws of random numbers in it start `random_shift` elements later than recorded.
void replay(Graph& graph, uint64_t random_shift);

// Added to the offset of every draw on the current device: 0 but during a replay. Device memory.
const uint64_t* random_shift();

}  // namespace ck::cuda
