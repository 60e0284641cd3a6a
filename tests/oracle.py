"""The truth for the op tests: every op in numpy float64, forward and gradients, sharing no code with the library.

Each op takes arrays and the arguments of its convkit namesake and returns `(y, backward)`; `backward(grad)` returns
the gradients as a dict by argument name. Pooling, convolution and geometry live here, the rest in oracle_dense.py.
Invalid problems are a ValueError. Letters: N,H,W,C input; O,R,S filters; P,Q output; G groups.
"""

import numpy as np

LEAKY_SLOPE = 0.01  # of activation="leaky_relu"


def pair(value):
    """An int or a pair -> (vertical, horizontal)."""
    return (int(value), int(value)) if np.isscalar(value) else (int(value[0]), int(value[1]))


def same_padding(size, extent, stride):
    """TensorFlow's "same": ceil(size / stride) outputs, the odd element goes to the end."""
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def resolve_padding(padding, sizes, extents, strides):
    """Any padding form -> ((top, bottom), (left, right)); extent = dilation * (kernel - 1) + 1."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        return tuple(same_padding(*axis) for axis in zip(sizes, extents, strides))
    if np.isscalar(padding):
        return ((int(padding),) * 2,) * 2
    return tuple((int(p), int(p)) if np.isscalar(p) else (int(p[0]), int(p[1])) for p in padding)


def window_geometry(hw, kernel, stride, padding, dilation, ceil_mode=False):
    """-> (P, Q), ((top, bottom), (left, right)). The output size is floor((H + pads - extent) / stride) + 1; with
    ceil_mode ceil, less a window that would start at or beyond H + pad_top."""
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    pads = resolve_padding(padding, hw, extents, stride)
    out = []
    for size, extent, s, (before, after) in zip(hw, extents, stride, pads):
        room = size + before + after - extent
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= size + before:
            count -= 1
        if room < 0 or count < 1:
            raise ValueError(f"no output: size {size} pads {before, after} extent {extent} stride {s}")
        out.append(count)
    return tuple(out), pads


# -- activations -----------------------------------------------------------------------------------------------------


def sigmoid(z):
    e = np.exp(-np.abs(z))  # never overflows
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


def activate(z, name, slope=LEAKY_SLOPE):
    """-> (y, gradient(g)). At a kink the gradient is that of the side without slope: relu'(0) = 0, relu6'(6) = 0.
    NaN passes, and so does its gradient."""
    if name is None:
        return z, lambda g: g
    if name == "relu":
        return np.where(z <= 0, 0.0, z), lambda g: np.where(z <= 0, 0.0, g)
    if name == "relu6":
        return np.where(z <= 0, 0.0, np.where(z >= 6, 6.0, z)), lambda g: np.where((z <= 0) | (z >= 6), 0.0, g)
    if name == "leaky_relu":
        return np.where(z > 0, z, slope * z), lambda g: np.where(z > 0, g, slope * g)
    y = {"tanh": np.tanh, "sigmoid": sigmoid}[name](z)
    return y, lambda g: g * (1 - y * y if name == "tanh" else y * (1 - y))


# -- convolution -----------------------------------------------------------------------------------------------------


def taps(kernel, stride, dilation, out):
    """(r, s, index) for every filter tap; index selects from a padded [N,H,W,...] what the tap meets: [N,P,Q,...]."""
    for r in range(kernel[0]):
        for s in range(kernel[1]):
            h, w = r * dilation[0], s * dilation[1]
            rows = slice(h, h + (out[0] - 1) * stride[0] + 1, stride[0])
            columns = slice(w, w + (out[1] - 1) * stride[1] + 1, stride[1])
            yield r, s, (slice(None), rows, columns)


def conv2d(x, w, bias=None, residual=None, *, stride=1, padding=0, dilation=1, groups=1, activation=None):
    """x [N,H,W,C], w [O,R,S,C/G] -> [N,P,Q,O]."""
    (n, height, width, c), (o, *kernel, cg), stride, dilation = x.shape, w.shape, pair(stride), pair(dilation)
    out, ((top, bottom), (left, right)) = window_geometry((height, width), kernel, stride, padding, dilation)
    if cg * groups != c or o % groups:
        raise ValueError(f"groups {groups} do not divide channels {c} -> {o}")
    xp = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0))).reshape(
        n, height + top + bottom, width + left + right, groups, cg
    )
    wg = w.reshape(groups, o // groups, *kernel, cg)
    z = np.zeros((n, *out, groups, o // groups))
    for r, s, window in taps(kernel, stride, dilation, out):
        z += np.einsum("npqgc,goc->npqgo", xp[window], wg[:, :, r, s])
    z = z.reshape(n, *out, o)
    z = z if bias is None else z + bias
    y, activation_gradient = activate(z if residual is None else z + residual, activation)

    def backward(grad):
        grad = activation_gradient(grad)
        g = grad.reshape(n, *out, groups, o // groups)
        dxp, dw = np.zeros_like(xp), np.zeros_like(wg)
        for r, s, window in taps(kernel, stride, dilation, out):
            dxp[window] += np.einsum("npqgo,goc->npqgc", g, wg[:, :, r, s])
            dw[:, :, r, s] = np.einsum("npqgo,npqgc->goc", g, xp[window])
        dx = dxp[:, top : top + height, left : left + width].reshape(x.shape)
        return {"x": dx, "w": dw.reshape(w.shape), "bias": grad.sum((0, 1, 2)), "residual": grad}

    return y, backward


def conv_transpose2d(x, w, bias=None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1, activation=None):
    """x [N,H,W,C], w [C,R,S,O/G] -> [N,P,Q,O]: every input pixel scatters its filter, then the padding is cropped."""
    (n, *hw, c), (_, *kernel, og) = x.shape, w.shape
    stride, dilation, extra, crop = pair(stride), pair(dilation), pair(output_padding), padding
    (top, bottom), (left, right) = resolve_padding(crop, hw, (0, 0), stride)
    full = [(size - 1) * s + d * (k - 1) + 1 + e for size, s, d, k, e in zip(hw, stride, dilation, kernel, extra)]
    out = (full[0] - top - bottom, full[1] - left - right)
    if min(out) < 1 or any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation)):
        raise ValueError(f"no output or output_padding too large: {out}, {extra}")
    xg, wg = x.reshape(n, *hw, groups, c // groups), w.reshape(groups, c // groups, *kernel, og)
    z = np.zeros((n, *full, groups, og))
    for r, s, window in taps(kernel, stride, dilation, hw):
        z[window] += np.einsum("nhwgc,gco->nhwgo", xg, wg[:, :, r, s])
    z = z[:, top : top + out[0], left : left + out[1]].reshape(n, *out, groups * og)
    y, activation_gradient = activate(z if bias is None else z + bias, activation)

    def backward(grad):
        grad = activation_gradient(grad)
        g = np.pad(grad, ((0, 0), (top, bottom), (left, right), (0, 0))).reshape(n, *full, groups, og)
        dx, dw = np.zeros_like(xg), np.zeros_like(wg)
        for r, s, window in taps(kernel, stride, dilation, hw):
            dx += np.einsum("nhwgo,gco->nhwgc", g[window], wg[:, :, r, s])
            dw[:, :, r, s] = np.einsum("nhwgo,nhwgc->gco", g[window], xg)
        return {"x": dx.reshape(x.shape), "w": dw.reshape(w.shape), "bias": grad.sum((0, 1, 2))}

    return y, backward


# -- pooling ---------------------------------------------------------------------------------------------------------


def pool_windows(hw, kernel, stride, pads, dilation, out):
    """-> rows [P,1,R,1], columns [1,Q,1,S] (of the unpadded plane, may lie outside) and inside [P,Q,R,S]."""
    rows = (np.arange(out[0])[:, None] * stride[0] - pads[0][0] + np.arange(kernel[0]) * dilation[0])[:, None, :, None]
    columns = (np.arange(out[1])[:, None] * stride[1] - pads[1][0] + np.arange(kernel[1]) * dilation[1])[
        None, :, None, :
    ]
    inside = ((rows >= 0) & (rows < hw[0])) & ((columns >= 0) & (columns < hw[1]))
    return rows, columns, inside


def scatter_plane(values, flat, shape):
    """Adds values [N,P,Q,...,C] into a zero [N,H,W,C] at the flat h*W+w indices of the same shape."""
    n, h, w, c = shape
    plane = np.zeros((n, h * w, c))
    batch = np.arange(n).reshape(-1, *[1] * (flat.ndim - 1))
    np.add.at(plane, (batch, flat, np.arange(c)), values)
    return plane.reshape(shape)


def max_pool2d(x, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False):
    """x [N,H,W,C] -> ((y, indices int64) [N,P,Q,C], backward). A NaN wins, the first in window order; else the first
    maximum; padding never wins."""
    (n, *hw, c), kernel, dilation = x.shape, pair(kernel_size), pair(dilation)
    stride = kernel if stride is None else pair(stride)
    out, pads = window_geometry(hw, kernel, stride, padding, dilation, ceil_mode)
    rows, columns, inside = pool_windows(hw, kernel, stride, pads, dilation, out)
    taps_inside = inside.reshape(*out, -1)
    if not taps_inside.any(-1).all():
        raise ValueError("a window without an input element")
    flat = np.clip(rows, 0, hw[0] - 1) * hw[1] + np.clip(columns, 0, hw[1] - 1)
    flat = np.broadcast_to(flat, inside.shape).reshape(*out, -1)
    values = np.where(taps_inside[..., None], x.reshape(n, hw[0] * hw[1], c)[:, flat], -np.inf)  # [N,P,Q,R*S,C]
    best = values.argmax(-2)  # numpy's argmax: the first NaN, else the first maximum
    p, q = np.ogrid[: out[0], : out[1]]
    p, q = p[..., None], q[..., None]
    # Padding can only be chosen when all of the window is -inf: then the first input element is the first maximum.
    best = np.where(taps_inside[p, q, best], best, taps_inside.argmax(-1)[..., None])
    y, indices = np.take_along_axis(values, best[..., None, :], -2)[..., 0, :], flat[p, q, best]
    return (y, indices), lambda grad: {"x": scatter_plane(grad, indices, x.shape)}


def max_unpool2d(x, indices, kernel_size, *, stride=None, padding=0, output_size=None):
    """x, indices [N,P,Q,C] -> [N,H,W,C], zero but at the indices; of a repeated index the last one stays."""
    n, p, q, c = x.shape
    kernel = pair(kernel_size)
    stride = kernel if stride is None else pair(stride)
    pads = resolve_padding(padding, (p, q), kernel, stride)
    default = [(size - 1) * s - sum(pad) + k for size, s, pad, k in zip((p, q), stride, pads, kernel)]
    h, w = default if output_size is None else output_size
    if indices.size and not 0 <= indices.min() <= indices.max() < h * w:
        raise ValueError("index out of range")
    y, source, flat = np.zeros((n, h * w, c)), np.full((n, h * w, c), -1), indices.reshape(n, p * q, c)
    batch, channels = np.arange(n)[:, None, None], np.arange(c)
    for i in range(p * q):
        y[batch, flat[:, i : i + 1], channels] = x.reshape(n, p * q, c)[:, i : i + 1]
        source[batch, flat[:, i : i + 1], channels] = i

    def backward(grad):
        dx, g = np.zeros((n, p * q, c)), grad.reshape(n, h * w, c)
        np.add.at(dx, (batch, source, channels), np.where(source >= 0, g, 0.0))
        return {"x": dx.reshape(x.shape)}

    return y.reshape(n, h, w, c), backward


def average_bins(x, weights_h, weights_w):
    """y[p,q] = sum_hw weights_h[p,h] weights_w[q,w] x[h,w]: every separable linear resampling."""
    y = np.einsum("ph,qw,nhwc->npqc", weights_h, weights_w, x, optimize=True)
    return y, lambda grad: {"x": np.einsum("ph,qw,npqc->nhwc", weights_h, weights_w, grad, optimize=True)}


def avg_pool2d(x, kernel_size, *, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """x [N,H,W,C] -> [N,P,Q,C]. The divisor counts the window clipped to the padded plane (torch's rule), or to the
    plane itself without count_include_pad."""
    hw, kernel = x.shape[1:3], pair(kernel_size)
    stride = kernel if stride is None else pair(stride)
    out, pads = window_geometry(hw, kernel, stride, padding, (1, 1), ceil_mode)
    weights = []
    for size, k, s, (before, after), count in zip(hw, kernel, stride, pads, out):
        start = np.arange(count)[:, None] * s - before
        stop = np.minimum(start + k, size + after)
        position = np.arange(size)
        member = (position >= start) & (position < stop)
        weights.append(member / (stop - start if count_include_pad else member.sum(1, keepdims=True)))
    return average_bins(x, *weights)


def adaptive_avg_pool2d(x, output_size):
    """x [N,H,W,C] -> [N,P,Q,C]: bin p averages rows floor(p*H/P) to ceil((p+1)*H/P)."""
    weights = []
    for size, count in zip(x.shape[1:3], pair(output_size)):
        bins = np.arange(count)[:, None]
        start, stop = bins * size // count, -(-(bins + 1) * size // count)
        position = np.arange(size)
        weights.append(((position >= start) & (position < stop)) / (stop - start))
    return average_bins(x, *weights)


def upsample(x, scale, mode="nearest"):
    """x [N,H,W,C] -> [N,H*scale,W*scale,C]; bilinear with half-pixel centres, clamped at the border."""
    weights = []
    for size, factor in zip(x.shape[1:3], pair(scale)):
        target = np.arange(size * factor)
        matrix = np.zeros((size * factor, size))
        if mode == "nearest":
            matrix[target, target // factor] = 1
        else:
            source = np.maximum((target + 0.5) / factor - 0.5, 0)
            low = np.floor(source).astype(int)
            np.add.at(matrix, (target, low), 1 - (source - low))
            np.add.at(matrix, (target, np.minimum(low + 1, size - 1)), source - low)
        weights.append(matrix)
    return average_bins(x, *weights)
