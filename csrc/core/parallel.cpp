#include "core/parallel.h"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

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

#ifdef _OPENMP
// On cores that other programs keep busy a team is worse than no team: each of its members has to get a core before a
// loop can end, and that takes time slices of milliseconds where a loop takes microseconds. The results do not depend
// on the number of threads, so the calling thread may go on alone for a while and then try again.
using Clock = std::chrono::steady_clock;
constexpr Clock::duration kShortest = std::chrono::milliseconds(25);  // a try costs up to three time slices of 4 ms
constexpr Clock::duration kLongest = std::chrono::milliseconds(400);  // a core that is free again is soon used again
std::atomic<Clock::rep> alone_until{0}, alone_for{kShortest.count()};
std::atomic<int> strikes{0};  // a single late loop is an accident: several close together are a busy core
constexpr int kStrike = 4, kStrikes = 12;

// A worker's own tasks: the same in every loop, so that what one loop left in a core's caches the next one finds there.
// Other workers take from them when they have finished theirs: a static split runs as slowly as its slowest core when
// another program takes one.
struct alignas(64) Share {
    std::atomic<int64_t> next;
    int64_t end;
};

// After a loop of a team: was it slower than one of its members would have been by its own pace, and by more than tasks
// differ?
void note_team(Clock::duration taken, Clock::duration alone) {
    constexpr auto kSlack = std::chrono::milliseconds(1);
    if (taken <= alone + kSlack) {
        const int left = strikes;
        if (left > 0) strikes = left - 1;
        if (left <= 1) alone_for = kShortest.count();
        return;
    }
    strikes = strikes + kStrike;
    if (strikes < kStrikes) return;
    strikes = kStrikes - kStrike;  // the next late loop is enough
    const Clock::rep period = alone_for;
    alone_until = Clock::now().time_since_epoch().count() + period;
    alone_for = std::min<Clock::rep>(2 * period, kLongest.count());
}
#endif

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
    if (workers > 1 && !omp_in_parallel() && Clock::now().time_since_epoch().count() >= alone_until) {
        std::exception_ptr error;
        std::mutex mutex;
        std::vector<Share> shares(static_cast<size_t>(workers));
        for (int64_t i = 0; i < workers; ++i) {
            shares[i].next = tasks * i / workers;
            shares[i].end = tasks * (i + 1) / workers;
        }
        const auto start = Clock::now();
        auto alone = Clock::duration::max();  // what the fastest member would have taken for all tasks
#    pragma omp parallel num_threads(static_cast <int>(workers))
        {
            const auto begin = Clock::now();
            const int64_t worker = omp_get_thread_num();
            int64_t done = 0;
            for (int64_t i = 0; i < workers; ++i) {
                Share& share = shares[(worker + i) % workers];
                for (int64_t task; (task = share.next++) < share.end; ++done) {
                    try {
                        function(context, task, worker);
                    } catch (...) {
                        std::lock_guard<std::mutex> lock(mutex);
                        if (!error) error = std::current_exception();
                    }
                }
            }
            if (done > 0) {
                std::lock_guard<std::mutex> lock(mutex);
                alone = std::min(alone, (Clock::now() - begin) * tasks / done);
            }
        }
        note_team(Clock::now() - start, alone);
        if (error) std::rethrow_exception(error);
        return;
    }
#endif
    for (int64_t task = 0; task < tasks; ++task) function(context, task, 0);
}

}  // namespace ck
