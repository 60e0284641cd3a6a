#include "core/parallel.h"

#include <pthread.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>

#ifdef _OPENMP
#    include <omp.h>
#endif

namespace ck {
namespace {

// CPUs granted by a container (cgroup v2 "quota period"), 0 when there is no limit: libgomp does not look at it.
int cgroup_cpus() {
    std::ifstream file("/sys/fs/cgroup/cpu.max");
    std::string quota;
    double period = 0;
    if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
    return std::max(1, static_cast<int>(std::ceil(std::atof(quota.c_str()) / period)));
}

int default_threads() {
#ifdef _OPENMP
    const int available = omp_get_max_threads();  // honours OMP_NUM_THREADS and the affinity mask
    const int granted = cgroup_cpus();
    return std::getenv("OMP_NUM_THREADS") || !granted ? available : std::min(available, granted);
#else
    return 1;
#endif
}

std::atomic<int>& thread_setting() {
    static std::atomic<int> setting{default_threads()};
    return setting;
}

// A forked child has none of its parent's OpenMP workers, and libgomp would wait for them for ever: run it serially.
std::atomic<bool> forked{false};
const bool fork_handler_set = pthread_atfork(nullptr, nullptr, [] {
                                  forked = true;
                                  thread_setting() = 1;
                              }) == 0;

}  // namespace

int num_threads() {
    return thread_setting();
}
void set_num_threads(int count) {
    thread_setting() = forked ? 1 : count;
}

void at_fork(void (*before)(), void (*after)()) {
    pthread_atfork(before, after, after);
}

bool parallel_enabled() {
#ifdef _OPENMP
    return fork_handler_set;
#else
    return false;
#endif
}

void detail::run_tasks(int64_t tasks, [[maybe_unused]] int64_t workers, TaskFunction function, void* context) {
#ifdef _OPENMP
    if (workers > 1 && !omp_in_parallel()) {
        std::exception_ptr error;
        std::mutex mutex;
        // dynamic,1: a static split runs as slowly as its slowest core when another program takes one.
#    pragma omp parallel for schedule(dynamic, 1) num_threads(static_cast <int>(workers))
        for (int64_t task = 0; task < tasks; ++task) {
            try {
                function(context, task, omp_get_thread_num());
            } catch (...) {
                std::lock_guard<std::mutex> lock(mutex);
                if (!error) error = std::current_exception();
            }
        }
        if (error) std::rethrow_exception(error);
        return;
    }
#endif
    for (int64_t task = 0; task < tasks; ++task) function(context, task, 0);
}

}  // namespace ck
