// All blocks of a grid, in an adversarial order, on one or more threads of the operating system.
#include <atomic>
#include <mutex>
#include <numeric>
#include <thread>

#include "faults.h"
#include "multiprocessor.h"

namespace emulation {
namespace {

std::mutex totals_mutex;
Stats totals{};

void add(const Stats& from) {
    const std::lock_guard<std::mutex> lock(totals_mutex);
    totals.blocks += from.blocks;
    totals.threads += from.threads;
    totals.switches += from.switches;
    totals.barriers += from.barriers;
    totals.collectives += from.collectives;
    totals.async_copies += from.async_copies;
    totals.ldmatrix_phases += from.ldmatrix_phases;
    totals.ldmatrix_conflicts += from.ldmatrix_conflicts;
}

// The i-th block to run of n: a permutation.
unsigned block_at(unsigned i, unsigned n) {
    switch (config().order) {
        case Order::forward:
            return i;
        case Order::reverse:
            return n - 1 - i;
        case Order::random:
            break;
    }
    uint64_t step = 2654435761u % n | 1;
    while (std::gcd(step, static_cast<uint64_t>(n)) != 1) step += 2;
    return static_cast<unsigned>((i * step + config().seed) % n);
}

// Kept for the next grid; grids run one at a time.
Multiprocessor& multiprocessor_number(size_t i) {
    static auto& all = *new std::vector<std::unique_ptr<Multiprocessor>>;
    while (all.size() <= i) all.push_back(std::make_unique<Multiprocessor>());
    return *all[i];
}

class Run {
  public:
    explicit Run(const Grid& grid) : grid_(grid), blocks_(grid.size.x * grid.size.y * grid.size.z) {}

    std::string all() {
        size_t workers = kRaceDetector ? 1 : std::max(1, config().os_threads);
        if (workers > blocks_) workers = blocks_;
        std::vector<Multiprocessor*> own;
        for (size_t i = 0; i < workers; ++i) own.push_back(&multiprocessor_number(i));
        std::vector<std::thread> helpers;
        for (size_t i = 1; i < workers; ++i) helpers.emplace_back([this, &own, i] { run_on(*own[i]); });
        run_on(*own[0]);
        for (std::thread& helper : helpers) helper.join();
        return failure_;
    }

  private:
    void run_on(Multiprocessor& processor) {
        const FaultStack fault_stack;
        processor.begin_grid(grid_);
        processor.stats = Stats{};
        for (unsigned i; !failed_ && (i = next_++) < blocks_;) {
            if (processor.run_block(grid_, block_at(i, blocks_))) continue;
            const std::lock_guard<std::mutex> lock(totals_mutex);
            if (failure_.empty()) failure_ = processor.failure;
            failed_ = true;
        }
        // Not before: through this thread one block would be ordered before the next.
        race::acquire(&processor.ended);
        add(processor.stats);
    }

    const Grid& grid_;
    const unsigned blocks_;
    std::atomic<unsigned> next_{0};
    std::atomic<bool> failed_{false};
    std::string failure_;
};

}  // namespace

std::string run_grid(const Grid& grid) {
    {
        const std::lock_guard<std::mutex> lock(totals_mutex);
        ++totals.launches;
    }
    return Run(grid).all();
}

Stats stats() {
    const std::lock_guard<std::mutex> lock(totals_mutex);
    return totals;
}

void reset_stats() {
    const std::lock_guard<std::mutex> lock(totals_mutex);
    totals = Stats{};
}

}  // namespace emulation
