// How the drivers cut [rows,c] matrices for sums down the columns and for passes with one constant per column.
//
// Narrow rows are taken several at a time as one wide row, so that vectors are full; columns are cut into strips, rows
// into chunks, chunks into blocks. A kernel sums a block in float, the block sums of a chunk are added in double, the
// chunks in order. All of it follows from the shape alone, so the result is the same for any number of threads.
#pragma once
#include <algorithm>

#include "core/allocator.h"
#include "core/parallel.h"
#include "core/shapes.h"

namespace ck::cpu {

struct ColumnBlocks {
    static constexpr int64_t kWide =
        256;  // columns of a wide row at least: full vectors, and 1 KiB in order for the prefetchers
    // Columns of a strip: a page of each array in order. Strips of half a page read a row of 4 KiB at 26 instead of
    // 30 GB/s, as prefetchers fetch past the strip's end; the sums of longer ones leave L1.
    static constexpr int64_t kStrip = 1024;
    static constexpr int64_t kBlock = 256;        // rows of a block: 32 additions of row groups in a float sum
    static constexpr int64_t kTask = 128 * 1024;  // elements of a task at least, where kBlock allows: 20-40 us
    static constexpr int64_t kChunks = 64;        // chunks at most: 4 tasks a thread for 16 threads

    explicit ColumnBlocks(int64_t row_count, int64_t c)
        : repeat(std::clamp<int64_t>(row_count, 1, ceil_div(kWide, c))),
          width(c * repeat),
          rows(row_count / repeat),
          tail(row_count % repeat * c),
          least(std::min(kBlock, kTask / std::min(width, kStrip))),
          chunk_rows(ceil_div(std::max(least, ceil_div(rows, kChunks)), 8) * 8),
          chunks(std::max<int64_t>(1, ceil_div(rows, chunk_rows))),
          strips(ceil_div(width, kStrip)) {}

    int64_t repeat;      // rows in a wide row
    int64_t width;       // columns of a wide row
    int64_t rows;        // whole wide rows
    int64_t tail;        // columns of the last, partial one
    int64_t least;       // wide rows of a chunk at least
    int64_t chunk_rows;  // wide rows in a chunk
    int64_t chunks, strips;
};

// One strip of one chunk.
struct ColumnChunk {
    int64_t index;            // of the chunk
    int64_t column, columns;  // of the strip
    int64_t begin, end;       // wide rows
    int64_t tail;             // columns of the partial row behind them

    ColumnChunk(const ColumnBlocks& b, int64_t task)
        : index(task / b.strips),
          column(task % b.strips * ColumnBlocks::kStrip),
          columns(std::min(ColumnBlocks::kStrip, b.width - column)),
          begin(index * b.chunk_rows),
          end(std::min(b.rows, begin + b.chunk_rows)),
          tail(index + 1 < b.chunks ? 0 : std::clamp<int64_t>(b.tail - column, 0, columns)) {}

    // fn(offset, rows, columns) for the blocks; offset is that of the first element in the matrix.
    template <class F>
    void for_blocks(const ColumnBlocks& b, F&& fn) const {
        for (int64_t r = begin; r < end; r += ColumnBlocks::kBlock) {
            fn(r * b.width + column, std::min(ColumnBlocks::kBlock, end - r), columns);
        }
        if (tail) fn(b.rows * b.width + column, int64_t{1}, tail);
    }

    // sums[kSums,kStrip] of the chunk in double; block(offset, rows, columns, partial[kSums,kStrip]) adds in float.
    template <int kSums, class Block>
    void sum(const ColumnBlocks& b, double* sums, Block&& block) const {
        constexpr int64_t kStrip = ColumnBlocks::kStrip;
        for (int s = 0; s < kSums; ++s) std::fill(sums + s * kStrip, sums + s * kStrip + columns, 0.0);
        for_blocks(b, [&](int64_t offset, int64_t block_rows, int64_t block_columns) {
            alignas(64) float partial[kSums * kStrip];
            for (int s = 0; s < kSums; ++s) std::fill(partial + s * kStrip, partial + s * kStrip + columns, 0.0f);
            block(offset, block_rows, block_columns, partial);
            for (int s = 0; s < kSums; ++s)
                for (int64_t i = 0; i < columns; ++i) sums[s * kStrip + i] += partial[s * kStrip + i];
        });
    }
};

// result[kSums,c] = sums down the columns of a [rows,c] matrix; block as in ColumnChunk::sum.
template <int kSums, class Block>
void column_sums(int64_t rows, int64_t c, double* result, Block&& block) {
    std::fill(result, result + kSums * c, 0.0);
    if (rows == 0 || c == 0) return;
    const ColumnBlocks b(rows, c);
    Scratch<double> parts(b.chunks * kSums * b.width);
    parallel_for(b.chunks * b.strips, [&](int64_t task) {
        const ColumnChunk chunk(b, task);
        double sums[kSums * ColumnBlocks::kStrip];
        chunk.sum<kSums>(b, sums, block);
        for (int s = 0; s < kSums; ++s) {
            const double* from = sums + s * ColumnBlocks::kStrip;
            std::copy(from, from + chunk.columns, parts.data() + (chunk.index * kSums + s) * b.width + chunk.column);
        }
    });
    const double* part = parts.data();
    for (int64_t q = 0; q < b.chunks * kSums; ++q, part += b.width) {
        double* sum = result + q % kSums * c;
        for (int64_t r = 0; r < b.repeat; ++r)
            for (int64_t j = 0; j < c; ++j) sum[j] += part[r * c + j];
    }
}

}  // namespace ck::cpu
