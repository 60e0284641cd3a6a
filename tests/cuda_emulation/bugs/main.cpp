// planted_bugs sound NAME: runs the sound kernel in all modes; fails when one of them complains.
// planted_bugs planted NAME: runs the other one, in all orders and with copies as late as allowed; prints in how many
// of the three it was CAUGHT, by wrong values or by a message. A sanitizer ends the program earlier.
#include <cstdio>
#include <cstring>

#include "bugs.h"
#include "check.h"

namespace {

struct Bug {
    const char* name;
    bool (*run)(bool planted);
};
constexpr Bug kBugs[] = {
    {"barrier_after_fill", bugs::barrier_after_fill},
    {"barrier_before_next_fill", bugs::barrier_before_next_fill},
    {"unwritten_tail", bugs::unwritten_tail},
    {"waits_for_copies", bugs::waits_for_copies},
    {"pipeline_barrier", bugs::pipeline_barrier},
    {"read_out_of_bounds", bugs::read_out_of_bounds},
    {"fence_before_publishing", bugs::fence_before_publishing},
    {"padding_edge", bugs::padding_edge},
    {"sum_across_blocks", bugs::sum_across_blocks},
    {"misaligned_vector", bugs::misaligned_vector},
    {"barrier_of_half_a_block", bugs::barrier_of_half_a_block},
    {"shuffle_of_half_a_warp", bugs::shuffle_of_half_a_warp},
    {"producer_waits_for_stage", bugs::producer_waits_for_stage},
    {"consumer_waits_for_data", bugs::consumer_waits_for_data},
    {"stage_freed_after_use", bugs::stage_freed_after_use},
};

int run_planted(const Bug& bug, emulation::Timing copies) {
    int caught = 0;
    emulation::config().copies = copies;
    for (const char* order : {"forward", "reverse", "random"}) {
        emulation::set("order", order);
        ++emulation::config().seed;
        const bool right = bug.run(true);
        const cudaError_t error = cudaDeviceSynchronize();
        if (right && error == cudaSuccess) continue;
        ++caught;
        std::printf("order %s: %s\n", order, error == cudaSuccess ? "wrong values" : cudaGetErrorString(error));
        cudaDeviceReset();
    }
    std::printf("CAUGHT in %d of 3\n", caught);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    for (const Bug& bug : kBugs) {
        if (std::strcmp(bug.name, argv[2]) != 0) continue;
        if (std::strcmp(argv[1], "planted") == 0) return run_planted(bug, emulation::Timing::late);
        if (std::strcmp(argv[1], "random") == 0) return run_planted(bug, emulation::Timing::random);
        emulation_test::in_all_modes([&] { CHECK(bug.run(false) && cudaDeviceSynchronize() == cudaSuccess); });
        return emulation_test::failures() != 0;
    }
    std::printf("no bug is called %s\n", argv[2]);
    return 2;
}
