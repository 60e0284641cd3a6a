// cp.async: copies from global to shared memory that a thread issues, groups and waits for.
#include "multiprocessor.h"

namespace emulation {
namespace {

// Byte by byte through volatile: a call of memcpy is watched by the race detector, which is told the ranges instead.
void move_bytes(char* to, const char* from, int bytes, int source_bytes) {
    for (int i = 0; i < bytes; ++i) static_cast<volatile char*>(to)[i] = i < source_bytes ? from[i] : char{0};
}

void happen(const PendingCopy& copy) {
    race::read(copy.from, copy.source_bytes);
    race::write(copy.to, copy.bytes);
    move_bytes(copy.to, copy.from, copy.bytes, copy.source_bytes);
}

}  // namespace

void async_copy(void* shared, const void* global, int bytes, int source_bytes) {
    Multiprocessor& self = *multiprocessor;
    Thread& thread = *self.current;
    if (!in_shared(shared, bytes)) fail("cp.async writes %d bytes outside the block's shared memory", bytes);
    if (reinterpret_cast<uintptr_t>(shared) % bytes || reinterpret_cast<uintptr_t>(global) % bytes)
        fail("cp.async of %d bytes: to %p from %p is misaligned", bytes, shared, global);
    if (source_bytes < 0 || source_bytes > bytes) fail("cp.async of %d bytes reads %d", bytes, source_bytes);
    if (source_bytes) check_global(global, source_bytes, "cp.async reads");
    ++self.stats.async_copies;
    PendingCopy copy{static_cast<char*>(shared), static_cast<const char*>(global), bytes, source_bytes,
                     thread.copy_group};
    const Timing timing = config().copies;
    if (timing == Timing::at_once || (timing == Timing::random && self.random() % 2)) {
        happen(copy);
        copy.bytes = 0;  // still to be waited for
    }
    thread.copies.push_back(copy);
}

void async_copy_commit() {
    ++multiprocessor->current->copy_group;
}

void async_copy_wait(int groups_left) {
    Thread& thread = *multiprocessor->current;
    const int landed = thread.copy_group - groups_left;
    size_t kept = 0;
    for (const PendingCopy& copy : thread.copies) {
        if (copy.group >= landed)
            thread.copies[kept++] = copy;
        else if (copy.bytes)
            happen(copy);
    }
    thread.copies.resize(kept);
}

void note_read(const void* address, size_t bytes) {
    race::read(address, bytes);
    if (address::forbidden(address, bytes)) fail("%zu bytes at %p lie outside any array", bytes, address);
}

// 8 rows of 16 bytes go through 32 banks of 4 bytes in one cycle, unless two of them need the same banks. Equal rows
// are read once.
void count_ldmatrix(const void* const (&rows)[32]) {
    Stats& stats = multiprocessor->stats;
    for (int matrix = 0; matrix < 4; ++matrix) {
        const void* const* own = rows + 8 * matrix;
        int users[8] = {}, cycles = 1;
        for (int row = 0; row < 8; ++row) {
            bool repeated = false;
            for (int earlier = 0; earlier < row; ++earlier) repeated |= own[earlier] == own[row];
            if (!repeated) cycles = std::max(cycles, ++users[reinterpret_cast<uintptr_t>(own[row]) / 16 % 8]);
        }
        ++stats.ldmatrix_phases;
        stats.ldmatrix_conflicts += cycles - 1;
    }
}

}  // namespace emulation
