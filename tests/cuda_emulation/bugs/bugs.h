// Kernels that each come twice, sound and with one bug planted. The sound one must be clean in every mode of the
// emulation, the other must be caught by the modes that its line in CMakeLists.txt names.
#pragma once

namespace bugs {

// True when all values came out right.
bool barrier_after_fill(bool planted);  // shared_memory.cu
bool barrier_before_next_fill(bool planted);
bool unwritten_tail(bool planted);
bool waits_for_copies(bool planted);  // pipeline.cu
bool pipeline_barrier(bool planted);
bool read_out_of_bounds(bool planted);  // global_memory.cu
bool fence_before_publishing(bool planted);
bool padding_edge(bool planted);
bool sum_across_blocks(bool planted);
bool misaligned_vector(bool planted);
bool barrier_of_half_a_block(bool planted);  // divergence.cu
bool shuffle_of_half_a_warp(bool planted);
bool producer_waits_for_stage(bool planted);  // hopper.cu
bool consumer_waits_for_data(bool planted);
bool stage_freed_after_use(bool planted);

}  // namespace bugs
