// Work sharing. The only interface to OpenMP; everything else in convkit is serial code called from here.
//
// Determinism: how a problem is cut into tasks must depend on its shape alone, never on num_threads(); a reduction is
// never split by thread. Then results are bitwise equal for any thread count.
#pragma once
#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace ck {

int num_threads();
void set_num_threads(int count);  // count >= 1
bool parallel_enabled();          // false when built without OpenMP
// Calls `before` in the forking thread, `after` in parent and child: for locks that other threads may hold.
void at_fork(void (*before)(), void (*after)());

// Threads for a loop of `tasks` tasks; scratch is sized by it.
inline int64_t worker_count(int64_t tasks) {
    return std::max<int64_t>(1, std::min<int64_t>(tasks, num_threads()));
}

namespace detail {
using TaskFunction = void (*)(void* context, int64_t task, int64_t worker);
void run_tasks(int64_t tasks, int64_t workers, TaskFunction function, void* context);
}  // namespace detail

// Calls fn(task, worker) for every task in [0,tasks), worker in [0,workers), task by task: first the worker's own, a
// range that the same loop gives it again, then what other workers have left.
// `workers` is the worker_count(tasks) by which the caller sized its scratch: asked again here it could be another
// number, as set_num_threads may be called at any time.
// Aim at 20-200 us a task and at least four tasks a thread: the cores are shared with other programs.
// An exception in a task is rethrown here after the loop.
template <class F>
void parallel_for(int64_t tasks, int64_t workers, F&& fn) {
    using Fn = std::remove_reference_t<F>;
    detail::run_tasks(
        tasks, workers, [](void* context, int64_t task, int64_t worker) { (*static_cast<Fn*>(context))(task, worker); },
        &fn);
}

// Calls fn(task), for tasks without scratch.
template <class F>
void parallel_for(int64_t tasks, F&& fn) {
    parallel_for(tasks, worker_count(tasks), [&fn](int64_t task, int64_t) { fn(task); });
}

// Calls fn(begin, end) for consecutive ranges of `grain` elements of [0,total). One range runs in the calling thread.
template <class F>
void parallel_ranges(int64_t total, int64_t grain, F&& fn) {
    const int64_t tasks = (total + grain - 1) / grain;
    parallel_for(tasks, [&](int64_t task) { fn(task * grain, std::min(total, (task + 1) * grain)); });
}

}  // namespace ck
