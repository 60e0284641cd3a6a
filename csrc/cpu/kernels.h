// The data sheet of the vector kernels: one struct per family, one CpuKernels per ISA unit. A kernel is serial and
// pure: it allocates nothing, throws nothing and starts no thread; the drivers in cpu/*.cpp cut the work and call it.
// Included by the ISA units, so: plain C-like declarations only.
#pragma once
#include "core/shapes.h"

namespace ck::cpu {

// cpu/isa/pointwise.h
struct PointwiseKernels {
    void (*unary)(UnaryOp op, float slope, int64_t n, const float* x, float* y);
    void (*unary_gradient)(UnaryOp op, float slope, int64_t n, const float* x, const float* y, const float* dy,
                           float* dx);
    // Both operands contiguous (step 1), or one of them a single value (step 0).
    void (*binary)(BinaryOp op, int64_t n, const float* a, int64_t step_a, const float* b, int64_t step_b, float* y);
    void (*compare)(CompareOp op, int64_t n, const float* a, int64_t step_a, const float* b, int64_t step_b, bool* y);
    // On a block [rows,columns] of rows `row` apart: dz = dy activation'(y), sums[columns] += the columns of dz.
    // dz or sums may be null.
    void (*epilogue_gradient)(int64_t rows, int64_t row, int64_t columns, Activation act, const float* y,
                              const float* dy, float* dz, float* sums);
};

// One block of c[m,n] (+)= a b, tile by tile. Element (i,p) of tile t of A is a[t*a_tile + i*a_row + p*a_k], of panel q
// of B is b[q*b_panel + p*b_k + i], rounded up to whole vectors: packed or in place.
struct GemmBlock {
    int64_t m, n, k;
    int tile_rows, tile_columns;
    const float* a;
    int64_t a_tile, a_row, a_k;
    const float* b;
    int64_t b_panel, b_k;
    // What A and B are next, laid out as these (with fewer k some of what is fetched lies beside it); while tiles are
    // computed it is fetched, as are rows of A that follow in this block. Null: A, or B, is near. The panels of a B
    // larger than the nearest caches are fetched anyway. Only where CpuKernels::far_operands.
    const float *next_a, *next_b;
    float* c;  // [m,n], rows c_row apart
    int64_t c_row;
    bool accumulate;    // c += a b
    bool finish;        // then c = activation(c + bias)
    const float* bias;  // [n] or null
    Activation act;
};

// cpu/isa/gemm.h
struct GemmKernels {
    int tile_rows, tile_columns;      // of the register tile
    int narrow_rows, narrow_columns;  // of the one for n <= narrow_columns
    int dot_rows;                     // most rows of `dots`
    // Panels of `width` rows, [panel][k][width]: element (i,p) is src[i*row + p*step]; one of row and step is 1. In the
    // last panel zeros follow up to the next whole vector when `width` has room for it.
    void (*pack)(int64_t rows, int64_t k, const float* src, int64_t row, int64_t step, float* dst, int64_t width);
    void (*block)(const GemmBlock& s);
    // c[m,n] = a[m,k] b[n,k]^T for m <= dot_rows; rows of c are c_row apart.
    void (*dots)(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, const float* b, int64_t b_row,
                 float* c, int64_t c_row);
    // c[m,n] = a[m,k] b[k,n] for a few rows, k > 0; element (i,p) of a is a[i*a_row + p*a_step].
    void (*combine_rows)(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, int64_t a_step, const float* b,
                         int64_t b_row, float* c, int64_t c_row);
    void (*sum_parts)(int64_t parts, int64_t n, const float* part, int64_t part_step, float* c);  // [parts,n] -> [n]
    // c[m,n] = activation(c + bias); bias[n] may be null.
    void (*epilogue)(int64_t m, int64_t n, const float* bias, Activation act, float* c, int64_t c_row);
};

constexpr int64_t kLineFloats = 16;  // of 64 bytes

// One panel of output channels for some output pixels: y[i][0,columns) = activation(bias + sum over k of x * b +
// residual), or a part of that sum. The k values of pixel i are `taps` runs of `length` contiguous floats, run t at
// x[i] + tap[t].
struct ConvPanel {
    int64_t pixels;
    const float* const* x;  // [pixels + 1]; from the last, which is not used, what follows is fetched into the cache
    const int64_t* tap;     // [taps]
    int64_t taps, length;
    const float* b;     // [taps*length][columns rounded up to whole vectors]
    bool b_streams;     // what follows b is not in the cache yet and is wanted there first
    const float* bias;  // [columns], may be null
    Activation act;
    bool accumulate;        // y += the sum, without bias
    bool finish;            // then residual and activation
    const float* residual;  // may be null; laid out as `start`, in which all of y lies
    const float* start;
    float* const* y;   // [pixels]
    int64_t y_offset;  // added to each
    int columns;       // 1 to panel_columns
};

// dw[i][0,columns) (+)= sum over `images` x `lines` x `pixels` of x[tap[i]] * dy[0,columns), for `rows` rows.
struct WeightPanel {
    int64_t rows;
    const int64_t* tap;  // [rows]
    int64_t images, lines, pixels;
    const float* x;
    int64_t x_image, x_line, x_pixel;
    const float* dy;
    int64_t dy_image, dy_line, dy_pixel;
    float* dw;
    int64_t dw_row;
    int columns;  // whole vectors, at most panel_columns
    bool accumulate;
    // What is read next, laid out as x and dy, as many lines of each pixel; 0: nothing. Tile i fetches one of them:
    // those of x come first. Only where CpuKernels::far_operands.
    const float *next_x, *next_dy;
    int64_t next_x_lines, next_dy_lines;
};

// sums[q*sums_pixel + line*sums_line + run*sums_run + i] += windows[q*window_step + line*line_step + run*length + i].
struct WindowScatter {
    int64_t pixels, lines, runs, length;
    const float* windows;
    int64_t window_step, line_step;
    float* sums;
    int64_t sums_pixel, sums_line, sums_run;
};

// cpu/isa/conv2d.h, cpu/isa/conv2d_gradient.h
struct Conv2dKernels {
    int panel_columns;
    int tile_rows;  // pixels of a register tile
    void (*panel)(const ConvPanel& s);
    void (*weight_panel)(const WeightPanel& s);
    void (*add_windows)(const WindowScatter& s);
};

// One tile of pixels, x at its first, which may lie outside the image: only rows [row0,row1) x columns
// [column0,column1) of it exist, the others are zeros. Gives v[points*points][channels rounded up to whole vectors].
// With argmax x is what 2x2 max-pooling left of the image: x and argmax are at the window of the first pixel, which is
// its pixel (odd_row, odd_column), and a pixel that was not its window's maximum is zero.
struct WinogradTile {
    int64_t channels;
    const float* x;
    const uint8_t* argmax;
    int odd_row, odd_column;
    int64_t row, pixel;
    int64_t row0, row1, column0, column1;
    float* v;
    int64_t v_point;
};

// The tile's outputs y[rows,columns] from v[points*points][channels]; of output_pooled the maxima of 2x2 of them and
// their places in the window, argmax (may be null), laid out as y.
struct WinogradOutput {
    int64_t channels;
    const float* v;
    int64_t v_point;
    const float* bias;      // [channels], may be null
    const float* residual;  // laid out as y, may be null; not of output_pooled
    Activation act;
    float* y;
    uint8_t* argmax;
    int64_t row, pixel;
    int64_t rows, columns;  // of y
};

// Filters of `columns` output channels for k input channels: tap (i,j) at w[i*w_row + j*w_column + k*w_k + column].
struct WinogradFilters {
    int64_t k, columns;
    const float* w;
    int64_t w_row, w_column, w_k;
    float* u;  // [filter_points squared][k][columns rounded up to whole vectors]
    int64_t u_point, u_k;
};

// dw[rows][taps,taps][columns] (+)= from u[filter_points squared][rows][columns].
struct WinogradFilterGradient {
    int64_t rows, columns;
    const float* u;
    int64_t u_point, u_row;
    float* dw;
    int64_t dw_row, dw_tap;
    bool accumulate;
};

// cpu/isa/winograd.h. The adjoint of stride 2 has no output_gradient, output_pooled and filter_gradient.
struct WinogradKernels {
    int outputs, span;          // pixels of a tile of the result and of x, squared
    int points, filter_points;  // squared; filters have the same value at the last points, from filter_points - 1 on
    int stride, spread;         // of a tile's first output, its first pixel of x is that times stride / spread
    void (*input)(const WinogradTile& s);            // of span x span pixels of x
    void (*output_gradient)(const WinogradTile& s);  // of outputs x outputs pixels of dy
    void (*output)(const WinogradOutput& s);
    void (*output_pooled)(const WinogradOutput& s);  // activations none and relu only
    void (*filters)(const WinogradFilters& s);
    void (*filter_gradient)(const WinogradFilterGradient& s);
};

// How the outputs of one line meet the columns of a line of x: output q's tap t is column q*stride - pad + t*dilation.
// Columns outside [0,width) are padding.
struct LineColumns {
    int64_t pixels, width;
    int64_t taps, stride, dilation, pad;
};

// y[pixels,channels] = activation(bias + sum over `rows` lines of x and filter rows and over taps of x * w).
struct DepthwiseLine {
    int64_t channels;
    LineColumns columns;
    int64_t rows;
    const float* x;  // [width,channels]; lines x_row apart
    int64_t x_row;
    const float* w;     // [rows,taps,channels]
    const float* bias;  // [channels], may be null
    Activation act;
    float* y;
    int64_t y_pixel;
    bool far;  // the maps do not fit the second-level cache: fetch ahead of the walk
};

// dw[rows,taps,channels] += sum over pixels of x * dy, for the filter rows that meet `rows` lines of x.
struct DepthwiseWeights {
    int64_t channels;
    LineColumns columns;
    int64_t rows;
    const float* x;  // [width,channels]; lines x_row apart
    int64_t x_row;
    const float* dy;  // [pixels,channels]
    float* dw;
    bool far;  // as above
};

// cpu/isa/depthwise.h
struct DepthwiseKernels {
    void (*line)(const DepthwiseLine& s);
    void (*weights)(const DepthwiseWeights& s);
};

// A line of a convolution of one input channel by few filters: output q's tap t is x[tap[t] + q].
struct PixelLine {
    int64_t pixels;
    const float* x;
    const int64_t* tap;  // [taps]
    int64_t taps;
    const float* w;     // [taps,filters]
    const float* bias;  // [filters], may be null
    int filters;        // 1 to most_filters
    Activation act;
    float* y;  // [pixels,filters]
};

// sums[taps,filters,vector_width] += x[line*x_line + tap + q] * dy[line*dy_line + filter*dy_filter + q], of which lane
// i takes the pixels q = i, i + vector_width, ...; dy has zeros from `pixels` up to a whole vector.
struct PixelWeights {
    int64_t lines, pixels;
    const float* x;
    int64_t x_line;
    const int64_t* tap;  // [taps]
    int64_t taps;
    const float* dy;
    int64_t dy_line, dy_filter;
    int filters;  // 1 to most_filters
    float* sums;
};

// cpu/isa/pixel_conv.h
struct PixelConvKernels {
    int most_filters;
    void (*line)(const PixelLine& s);
    void (*weights)(const PixelWeights& s);
};

// As DepthwiseLine, for groups of group_in input and group_out output channels: outputs [first,last), whole panels of
// vector_width or up to the last channel. When panels hold several groups, both sizes are equal and divide the width.
struct GroupedLine {
    int64_t group_in, group_out;
    int64_t first, last;
    LineColumns columns;  // taps and stride of one of the supported kinds, dilation 1
    int64_t rows;
    const float* x;  // [width,x_pixel]; lines x_row apart
    int64_t x_pixel, x_row;
    const float* w;  // [panels][filter rows,taps,group_in][vector_width], panels w_panel apart
    int64_t w_panel;
    const float* bias;  // [channels], may be null
    Activation act;
    float* y;
    int64_t y_pixel;
};

// dw += sum over pixels of x * dy, laid out as the filters of a GroupedLine.
struct GroupedWeights {
    int64_t group_in, group_out;
    int64_t first, last;
    LineColumns columns;
    int64_t rows;
    const float* x;
    int64_t x_pixel, x_row;
    const float* dy;  // [pixels,dy_pixel]
    int64_t dy_pixel;
    float* dw;
    int64_t dw_panel;
};

// cpu/isa/grouped.h
struct GroupedKernels {
    bool (*supports)(int64_t taps, int64_t stride);  // along a line
    void (*line)(const GroupedLine& s);
    void (*weights)(const GroupedWeights& s);
};

// cpu/isa/pool2d.h. x, dx are one image [H,W,C]; argmax as in ops.def. stream: past the caches, where alignment allows.
struct Pool2dKernels {
    // Output row p: y and argmax (may be null) are [Q,C].
    void (*max_row)(const Pool2dShape& s, int64_t p, const float* x, float* y, void* argmax, bool stream);
    // The rows of dx that are rows [begin,end) of the padded plane, begin even; dy and argmax are [P,Q,C].
    void (*max_gradient_rows)(const Pool2dShape& s, int64_t begin, int64_t end, const float* dy, const void* argmax,
                              float* dx, bool stream);
};

// Along one axis: output = sum over j < count of weight[j] * input[first + j], divided by `divisor`.
struct ResampleBand {
    int64_t first, count;
    const float* weight;
    float divisor;
};

// cpu/isa/resize.h
struct ResizeKernels {
    // One output row [Q,C] from x [H,W,C]; only `channels` of the C, those that x and y point to.
    void (*resample_row)(const ResampleBand& row, int64_t q, const ResampleBand* columns /*[Q]*/, int64_t w, int64_t c,
                         int64_t channels, const float* x, float* y, bool stream);
};

// cpu/isa/reduce.h. A NaN wins every maximum; argmax gives the first. Column kernels take blocks [rows,columns] of rows
// `row` apart, rows >= 1.
struct ReduceKernels {
    double (*sum)(int64_t n, const float* x);
    float (*max)(int64_t n, const float* x);       // n >= 1
    int64_t (*argmax)(int64_t n, const float* x);  // 1 <= n < 2^30
    void (*column_max)(int64_t rows, int64_t row, int64_t columns, const float* x, float* y);
    void (*column_argmax)(int64_t rows, int64_t row, int64_t columns, const float* x, int64_t* index);
};

// cpu/isa/softmax.h
struct SoftmaxKernels {
    void (*softmax)(bool log, int64_t rows, int64_t k, const float* x, float* y);
    void (*softmax_gradient)(bool log, int64_t rows, int64_t k, const float* y, const float* dy, float* dx);
};

// cpu/isa/loss.h. The arguments are those of ops.def for the first `rows` rows, or n elements.
struct LossKernels {
    void (*cross_entropy)(const CrossEntropyShape& s, int64_t rows, const float* x, const int64_t* labels,
                          const float* probabilities, const float* weight, double* loss /*[rows]*/);
    // dx of row r is scale * dy[r*dy_step] * d loss[r] / dx
    void (*cross_entropy_gradient)(const CrossEntropyShape& s, int64_t rows, const float* x, const int64_t* labels,
                                   const float* probabilities, const float* weight, const float* dy, int64_t dy_step,
                                   double scale, float* dx);
    // The sum of the losses; each of them to y unless null.
    double (*pointwise_loss)(PointwiseLoss kind, float beta, int64_t n, const float* x, const float* target,
                             const float* weight, float* y);
    void (*pointwise_loss_gradient)(PointwiseLoss kind, float beta, int64_t n, const float* x, const float* target,
                                    const float* weight, const float* dy, int64_t dy_step, float scale, float* dx);
};

// cpu/isa/dropout.h
struct DropoutKernels {
    // Keeps elements whose word of Philox, from `counter` on four to a counter, has its top 24 bits >= threshold.
    void (*dropout)(int64_t n, uint64_t seed, uint64_t counter, int32_t threshold, float scale, const float* x,
                    float* y);
};

// cpu/isa/batch_norm.h. Blocks [rows,columns] of rows `row` apart; what has one value per column is [columns].
// z = (x - mean) * scale + bias; sums are added to.
struct BatchNormKernels {
    // sums of x - shift and of its square
    void (*moments)(int64_t rows, int64_t row, int64_t columns, const float* x, const float* shift, float* sum,
                    float* square);
    // y = activation(z + residual); residual may be null. stream: past the caches, where y, row and columns allow it.
    void (*normalise)(int64_t rows, int64_t row, int64_t columns, Activation act, const float* x, const float* mean,
                      const float* scale, const float* bias, const float* residual, float* y, bool stream);
    // sums of g and of g (x - mean), where g = dy activation' is found from y, or from z when y is null. dz = g unless
    // null; stream_dz as above.
    void (*gradient_sums)(int64_t rows, int64_t row, int64_t columns, Activation act, const float* x, const float* mean,
                          const float* scale, const float* bias, const float* y, const float* dy, float* dz,
                          bool stream_dz, float* sum, float* product);
    // dx = g * scale + (x - mean) * slope + offset with g from z; slope and offset are null together.
    void (*gradient)(int64_t rows, int64_t row, int64_t columns, Activation act, const float* x, const float* mean,
                     const float* scale, const float* bias, const float* dy, const float* slope, const float* offset,
                     float* dx, bool stream);
};

// cpu/isa/optimizer.h
struct OptimizerKernels {
    void (*sgd_step)(const SgdSettings& s, int64_t n, float* param, const float* grad, float* velocity);
    void (*adam_step)(const AdamSettings& s, double correction1, double correction2, int64_t n, float* param,
                      const float* grad, float* m, float* v);
};

// cpu/isa/probe.h
struct ProbeKernels {
    int flops_per_step;
    float (*multiply_add)(int64_t steps, float factor, float term);  // x = x * factor + term in registers
    void (*stream_copy)(int64_t n, const float* x, float* y);        // n whole vectors; y aligned to 64 bytes
};

struct CpuKernels {
    const char* isa;
    int vector_width;   // float32 lanes
    bool far_operands;  // register tiles fetch ahead: an operand may come from the second-level cache, not packed
    bool long_steps;    // a step of them hides that the rows of an operand are scattered
    PointwiseKernels pointwise;
    GemmKernels gemm;
    Conv2dKernels conv2d;
    WinogradKernels winograd4x3, winograd2x3, winograd2x5;  // outputs x taps
    WinogradKernels winograd4x3_strided, winograd4x3_adjoint;
    DepthwiseKernels depthwise;
    GroupedKernels grouped;
    PixelConvKernels pixel_conv;
    Pool2dKernels pool2d;
    ResizeKernels resize;
    BatchNormKernels batch_norm;
    OptimizerKernels optimizer;
    ReduceKernels reduce;
    SoftmaxKernels softmax;
    LossKernels loss;
    DropoutKernels dropout;
    ProbeKernels probe;
};

}  // namespace ck::cpu

// One exported symbol per unit.
extern "C" {
const ck::cpu::CpuKernels& ck_kernels_sse2();
const ck::cpu::CpuKernels& ck_kernels_avx2();
const ck::cpu::CpuKernels& ck_kernels_avx512();
const ck::cpu::CpuKernels& ck_kernels_neon();
}
