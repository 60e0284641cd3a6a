// The public C++ ops, tensors in and tensors out: the whole API on one page. Each checks its arguments, works out the
// output shape, allocates and calls the backend of the tensors' device. One .cpp per family.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace ck {

// pointwise
Tensor unary(UnaryOp op, const Tensor& x, double slope);
Tensor unary_gradient(UnaryOp op, const Tensor& x, const Tensor& y, const Tensor& dy, double slope);
Tensor binary(BinaryOp op, const Tensor& a, const Tensor& b);
Tensor compare(CompareOp op, const Tensor& a, const Tensor& b);
// (dz, dbias) of y[rows,C] = activation(z + bias); bias_wanted = false gives an empty dbias.
std::pair<Tensor, Tensor> epilogue_gradient(Activation act, const Tensor& y, const Tensor& dy, bool bias_wanted);
Activation parse_activation(const char* op, const std::string& name);  // "" and "none" mean none

// reduce over the listed axes
Tensor reduce(ReduceOp op, const Tensor& x, const std::vector<int64_t>& axes, bool keepdims);
Tensor argmax(const Tensor& x, const std::vector<int64_t>& axes, bool keepdims);
Tensor max_gradient(const Tensor& x, const Tensor& dy, const std::vector<int64_t>& axes);  // to the first maximum
Tensor sum_to_shape(const Tensor& x, const Shape& shape);  // the adjoint of broadcasting shape to x.shape

// matmul
// op(a) op(b) by numpy's rules: a 1-D operand is a row (a) or a column (b), axes before the last two broadcast.
// trans_a and trans_b swap the last two axes of an operand that has them.
Tensor matmul(const Tensor& a, const Tensor& b, bool trans_a, bool trans_b);
// activation(x w^T + bias): x[...,in], w[out,in], bias[out] or null -> [...,out]
Tensor linear(const Tensor& x, const Tensor& w, const Tensor* bias, Activation act);

// shape ops
Tensor transpose(const Tensor& x, const std::vector<int64_t>& axes);
Tensor slice(const Tensor& x, const Shape& start, const Shape& step, const Shape& size);
Tensor slice_gradient(const Tensor& dy, const Shape& shape, const Shape& start, const Shape& step);  // zeros elsewhere
Tensor broadcast_to(const Tensor& x, const Shape& shape);
Tensor cast(const Tensor& x, DType dtype);
Tensor full(const Shape& shape, double value, DType dtype, Device device = {});
Tensor arange(double start, double stop, double step, DType dtype, Device device);
Tensor concatenate(const std::vector<Tensor>& tensors, int64_t axis);
Tensor pad(const Tensor& x, const Shape& before, const Shape& after, double value);
void copy_into(Tensor& dst, const Tensor& src);
Tensor to_device(const Tensor& x, Device device);  // x itself when it is there

// pool2d: windows over x [N,H,W,C] -> [N,P,Q,C]
struct Pool2dGeometry {
    std::array<int64_t, 2> window;  // h, w
    std::array<int64_t, 2> stride;
    std::array<int64_t, 4> padding;  // top, bottom, left, right
    std::array<int64_t, 2> dilation;
    bool ceil_mode;
};
// (y, argmax); argmax is opaque (see ops.def), empty unless wanted.
std::pair<Tensor, Tensor> max_pool2d(const Tensor& x, const Pool2dGeometry& g, bool argmax_wanted);
Tensor max_pool2d_gradient(const Shape& x_shape, const Tensor& dy, const Tensor& argmax, const Pool2dGeometry& g);
Tensor max_pool2d_indices(const Shape& x_shape, const Tensor& argmax, const Pool2dGeometry& g);  // int64 h*W+w
Tensor max_unpool2d(const Tensor& x, const Tensor& indices, const std::array<int64_t, 2>& size);
Tensor max_unpool2d_gradient(const Tensor& dy, const Tensor& indices);
Tensor avg_pool2d(const Tensor& x, const Pool2dGeometry& g, bool count_include_pad);
Tensor avg_pool2d_gradient(const Shape& x_shape, const Tensor& dy, const Pool2dGeometry& g, bool count_include_pad);
Tensor adaptive_avg_pool2d(const Tensor& x, const std::array<int64_t, 2>& size);
Tensor adaptive_avg_pool2d_gradient(const Shape& x_shape, const Tensor& dy);

// resize
Tensor upsample(const Tensor& x, const std::array<int64_t, 2>& scale, ResizeMode mode);
Tensor upsample_gradient(const Shape& x_shape, const Tensor& dy, ResizeMode mode);
ResizeMode parse_resize_mode(const std::string& name);

// random numbers
Tensor random_uniform(const Shape& shape, PhiloxKey key, double low, double high, DType dtype, Device device);
Tensor random_normal(const Shape& shape, PhiloxKey key, double mean, double stddev, DType dtype, Device device);

// conv2d and its adjoint: x [N,H,W,C], w [O,R,S,C/groups] -> [N,P,Q,O]
struct Conv2dGeometry {
    std::array<int64_t, 2> stride;   // h, w
    std::array<int64_t, 4> padding;  // top, bottom, left, right
    std::array<int64_t, 2> dilation;
    int64_t groups;
};
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor* bias, const Tensor* residual, const Conv2dGeometry& g,
              Activation act);
// conv2d and (mean, biased variance) [O] of its result, as batch_norm_statistics finds them; null of one value a
// channel, which has none: that is batch norm's to say.
using Statistics = std::optional<std::pair<Tensor, Tensor>>;
std::pair<Tensor, Statistics> conv2d_statistics(const Tensor& x, const Tensor& w, const Tensor* bias,
                                                const Conv2dGeometry& g, double momentum, Tensor* running_mean,
                                                Tensor* running_var);
// conv2d and max-pooling of its result by 2x2 with stride 2: (y, argmax), empty unless wanted; and the gradients of the
// convolution from that of y.
std::pair<Tensor, Tensor> conv2d_max_pool2d(const Tensor& x, const Tensor& w, const Tensor* bias,
                                            const Conv2dGeometry& g, Activation act, bool argmax_wanted);
Tensor conv2d_max_pool2d_data_gradient(const Shape& x_shape, const Tensor& w, const Tensor& dy, const Tensor& argmax,
                                       const Conv2dGeometry& g);
Tensor conv2d_max_pool2d_weight_gradient(const Tensor& x, const Shape& w_shape, const Tensor& dy, const Tensor& argmax,
                                         const Conv2dGeometry& g);
// What would run for a float32 problem: pass is "forward", "data" or "weights". The second lists all that could.
std::string conv2d_algorithm(const std::string& pass, const Shape& x, const Shape& w, const Conv2dGeometry& g);
std::vector<std::string> conv2d_algorithms(const std::string& pass, const Shape& x, const Shape& w,
                                           const Conv2dGeometry& g);
// residual, of x's shape and possibly null, is added.
Tensor conv2d_data_gradient(const Shape& x_shape, const Tensor& w, const Tensor& dy, const Conv2dGeometry& g,
                            const Tensor* residual);
Tensor conv2d_weight_gradient(const Tensor& x, const Shape& w_shape, const Tensor& dy, const Conv2dGeometry& g);
// x [N,H,W,C_in], w [C_in,R,S,C_out/groups] -> [N,P,Q,C_out]
Tensor conv_transpose2d(const Tensor& x, const Tensor& w, const Tensor* bias, const Conv2dGeometry& g,
                        const std::array<int64_t, 2>& output_padding, Activation act);
Tensor conv_transpose2d_data_gradient(const Shape& x_shape, const Tensor& w, const Tensor& dy, const Conv2dGeometry& g);
Tensor conv_transpose2d_weight_gradient(const Tensor& x, const Shape& w_shape, const Tensor& dy,
                                        const Conv2dGeometry& g);

// softmax along any axis; log = true gives its logarithm
Tensor softmax(bool log, const Tensor& x, int64_t axis);
Tensor softmax_gradient(bool log, const Tensor& y, const Tensor& dy, int64_t axis);

// losses. target: int64 labels [...] or probabilities [...,K] of logits [...,K]; weight [K] or null;
// reduction "none", "mean" or "sum". target and weight (or null) of a pointwise loss are shaped like x.
Tensor cross_entropy(const Tensor& logits, const Tensor& target, const Tensor* weight, double label_smoothing,
                     const std::string& reduction);
Tensor cross_entropy_gradient(const Tensor& logits, const Tensor& target, const Tensor* weight, double label_smoothing,
                              const std::string& reduction, const Tensor& dy);
Tensor pointwise_loss(PointwiseLoss kind, const Tensor& x, const Tensor& target, const Tensor* weight, double beta,
                      const std::string& reduction);
Tensor pointwise_loss_gradient(PointwiseLoss kind, const Tensor& x, const Tensor& target, const Tensor* weight,
                               double beta, const std::string& reduction, const Tensor& dy);

// dropout: the mask is a function of the key, so the gradient is dropout of dy with the same key
Tensor dropout(const Tensor& x, PhiloxKey key, double p);

// batch norm over the last axis; weight, bias and residual may be null
struct BatchNormSettings {
    double eps;
    Activation activation;
    bool training;
};
struct BatchNormGradients {
    Tensor dx, dweight, dbias, dresidual;
};
// (mean, biased variance); moves the running statistics (both or neither may be null) in place.
std::pair<Tensor, Tensor> batch_norm_statistics(const Tensor& x, double momentum, Tensor* running_mean,
                                                Tensor* running_var);
Tensor batch_norm(const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor* weight, const Tensor* bias,
                  const Tensor* residual, const BatchNormSettings& settings);
BatchNormGradients batch_norm_gradient(const Tensor& x, const Tensor& mean, const Tensor& variance,
                                       const Tensor* weight, const Tensor* bias, const Tensor* y, const Tensor& dy,
                                       bool has_residual, const BatchNormSettings& settings);

// optimizers: one step of all parameters, which and whose moments are written; no velocities without momentum
void sgd_step(const SgdSettings& s, const std::vector<Tensor>& params, const std::vector<Tensor>& grads,
              const std::vector<Tensor>& velocities);
void adam_step(const AdamSettings& s, const std::vector<Tensor>& params, const std::vector<Tensor>& grads,
               const std::vector<Tensor>& m, const std::vector<Tensor>& v);

}  // namespace ck
