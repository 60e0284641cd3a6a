"""How every test checks an op: `check(case)` compares values, every gradient, shapes and dtypes.

The float64 run (plain reference loops) is held against the numpy oracle, the float32 run (the kernels of the active
ISA) against the float64 run, both within the derived tolerance c * eps * sum|a||b| of op_table.
"""

import numpy as np

import convkit as ck
import device
import op_table
from cases import Case, distinct
from convkit.bench import shapes
from convkit.ops.geometry import pair, window_pads

# c of the tolerance: sums are blocked and fused, so their error stays near that of a few additions.
TOLERANCE_FACTOR = 8.0


def positional(function):
    return lambda t, a: function(*t.values(), **a)


def max_pool2d(t, a):
    result = ck.max_pool2d(t["x"], **a)
    return result if a["return_indices"] else (result,)


def batch_norm(t, a):
    keywords = {k: t[k] for k in ("weight", "bias", "residual") if k in t}
    y = ck.batch_norm(t["x"], t["running_mean"], t["running_var"], **keywords, **a)
    return y, t["running_mean"], t["running_var"]


def with_keywords(function, count):
    """The first `count` arrays positional, the optional ones by name."""

    def call(t, a):
        names = list(t)
        return function(*(t[n] for n in names[:count]), **{n: t[n] for n in names[count:]}, **a)

    return call


BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
}
UNARY = {"neg": lambda x: -x, "exp": ck.exp, "log": ck.log, "sqrt": ck.sqrt, "abs": abs}


def library(op):
    """-> call(tensors by name, arguments) of one op."""
    special = {
        "max_pool2d": max_pool2d,
        "batch_norm": batch_norm,
        "concatenate": lambda t, a: ck.concatenate(list(t.values()), **a),
        "pad": lambda t, a: ck.pad(t["x"], a["pads"], value=a["value"]),
        "dropout": lambda t, a: ck.dropout(t["x"], **a),
        "binary": lambda t, a: BINARY[a["operator"]](t["a"], t["b"]),
        "unary": lambda t, a: UNARY[a["function"]](t["x"]),
        "power": lambda t, a: t["x"] ** a["exponent"],
        "reduce": lambda t, a: getattr(t["x"], a["function"])(axis=a["axis"], keepdims=a["keepdims"]),
        "reshape": lambda t, a: t["x"].reshape(a["shape"]),
        "transpose": lambda t, a: t["x"].transpose(*a["axes"]),
        "index": lambda t, a: t["x"][a["key"]],
    }
    if op in special:
        return special[op]
    optional_by_name = ("conv2d", "cross_entropy", "binary_cross_entropy_with_logits")
    return with_keywords(getattr(ck, op), 2) if op in optional_by_name else positional(getattr(ck, op))


def tensors(case, dtype, requires_grad=True):
    differentiable = op_table.differentiable(case) if requires_grad else ()
    return {
        name: ck.tensor(
            a.astype(dtype) if a.dtype.kind == "f" else a,
            device="cpu" if dtype == np.float64 else device.DEVICE,
            requires_grad=name in differentiable,
        )
        for name, a in case.arrays.items()
        if name != "mask"
    }


def forward(case, dtype, arrays=None, requires_grad=False):
    """-> (tensors by name, the outputs as a tuple of tensors)."""
    t = tensors(case if arrays is None else Case(case.op, arrays, case.arguments, {}, case.seed), dtype, requires_grad)
    if case.op == "dropout":
        ck.manual_seed(case.seed)
    outputs = library(case.op)(t, case.arguments)
    return t, outputs if isinstance(outputs, tuple) else (outputs,)


def run(case, dtype, upstream):
    """-> (outputs, gradients by name) as numpy arrays."""
    t, outputs = forward(case, dtype, requires_grad=True)
    outputs[0].backward(ck.tensor(np.asarray(upstream, dtype), device=outputs[0].device))
    return [o.numpy() for o in outputs], {name: t[name].grad.numpy() for name in op_table.differentiable(case)}


def max_error_ratio(got, want, scale, dtype):
    """The largest error in units of the derived tolerance; equal infinities and NaNs are no error."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    tolerance = TOLERANCE_FACTOR * np.finfo(dtype).eps * np.asarray(scale) + np.finfo(dtype).tiny
    with np.errstate(invalid="ignore"):
        error = np.where((got == want) | (np.isnan(got) & np.isnan(want)), 0.0, np.abs(got - want) / tolerance)
    return float(np.where(np.isnan(error), np.inf, error).max(initial=0.0))


def rounding_factor(case, dtype):
    """How many times the rounding errors of plain sums an op may have: 4 on Winograd's six points (docs/kernels.md)."""
    if dtype != np.float32 or case.op not in device.MATRIX_OPS:
        return 1
    if device.is_cuda():
        return device.matrix_rounding()
    if case.op != "conv2d":
        return 1
    x, w, arguments = case.arrays["x"].shape, case.arrays["w"].shape, case.arguments
    stride, dilation = (pair("conv2d", name, arguments.get(name, 1)) for name in ("stride", "dilation"))
    pads = window_pads("conv2d", arguments.get("padding", 0), x, w[1:3], stride, dilation)
    geometry = (stride, pads, dilation, arguments.get("groups", 1))
    passes = {ck._core.conv2d_algorithm(direction, x, w, *geometry) for direction in ("forward", "data", "weights")}
    six_points = "winograd4" in passes or ("winograd2" in passes and w[1] == 5)
    return 4 if six_points else 1


def compare(case, got, want, expected, dtype):
    """Outputs and gradients of a run in `dtype` against others of the same case."""
    factor = rounding_factor(case, dtype)
    for i, (result, truth, scale) in enumerate(zip(got[0], want[0], expected.output_scales, strict=True)):
        truth = np.asarray(truth)
        assert result.shape == truth.shape, f"output {i} has shape {result.shape}, not {truth.shape}: {case}"
        assert result.dtype == (np.int64 if truth.dtype.kind == "i" else dtype), f"output {i} is {result.dtype}: {case}"
        ratio = max_error_ratio(result, truth, scale, dtype) / factor
        assert ratio <= 1, f"output {i} is {ratio:.3g} tolerances off in {np.dtype(dtype)}: {case}"
    for name, gradient in got[1].items():
        array, truth = case.arrays[name], want[1][name]
        assert gradient.shape == array.shape, f"gradient of {name} has shape {gradient.shape}: {case}"
        assert gradient.dtype == dtype, f"gradient of {name} is {gradient.dtype}: {case}"
        ratio = max_error_ratio(gradient, truth, expected.gradient_scales[name], dtype) / factor
        assert ratio <= 1, f"gradient of {name} is {ratio:.3g} tolerances off in {np.dtype(dtype)}: {case}"


def check(case, dtypes=(np.float64, np.float32)):
    """Value, every gradient, shape and dtype of one case."""
    if case.op == "dropout":
        case = with_mask(case)
    upstream, truth = op_table.upstream_and_expected(case)
    reference = (truth.outputs, truth.gradients)
    for dtype in dtypes:
        got = run(case, dtype, upstream)
        compare(case, got, reference, truth, dtype)
        reference = got if dtype == np.float64 else reference


def with_mask(case):
    """Dropout's mask depends on the seed and the position alone: it is read off a run on ones."""
    ones = {"x": np.ones_like(case.arrays["x"])}
    _, (y,) = forward(case, np.float32, ones)
    return Case(case.op, case.arrays | {"mask": y.numpy() != 0}, case.arguments, case.drawn, case.seed)


def make_case(op, seed=0, arguments=None, **arrays):
    """A case written by hand; arrays in the oracle's order."""
    defaults = op_table.DEFAULTS.get(op, {})
    return Case(op, arrays, defaults | (arguments or {}), {}, seed)


def small_problems(kind, **where):
    """The problems of bench/shapes/small.txt of one kind, by name; `where` filters by attribute."""
    return {
        name: problem
        for name, problem in shapes.read("small").items()
        if isinstance(problem, kind) and all(getattr(problem, k) == v for k, v in where.items())
    }


def problem_case(problem, **arguments):
    """The case of a problem of the shape files."""
    rng = np.random.default_rng(7)
    if isinstance(problem, shapes.Gemm):
        return make_case("matmul", a=distinct(rng, (problem.m, problem.k)), b=distinct(rng, (problem.k, problem.n)))
    x = distinct(rng, (problem.n, *problem.hw, problem.c))
    if isinstance(problem, shapes.Pool2d):
        arguments |= {"kernel_size": problem.kernel, "ceil_mode": problem.ceil_mode}
        arguments |= {"dilation": problem.dilation} if problem.mode == "max" else {}
        return make_case(
            f"{problem.mode}_pool2d", arguments=arguments | {"stride": problem.stride, "padding": problem.padding}, x=x
        )
    outer, inner = (problem.c, problem.o) if problem.transposed else (problem.o, problem.c)
    w = distinct(rng, (outer, *problem.kernel, inner // problem.groups))
    arguments |= {k: getattr(problem, k) for k in ("stride", "padding", "dilation", "groups")}
    arguments |= {"output_padding": problem.output_padding} if problem.transposed else {}
    return make_case(
        "conv_transpose2d" if problem.transposed else "conv2d", arguments=arguments, x=x, w=w,
        bias=distinct(rng, (problem.o,)),
    )  # fmt: skip


def check_central_differences(case, h=1e-6, coordinates=8):
    """The float64 gradients against (f(x + hv) - f(x - hv)) / 2h, along single coordinates and a dense direction."""
    rng = np.random.default_rng(case.seed)
    upstream, truth = op_table.upstream_and_expected(case)
    u = upstream.astype(np.float64)
    _, gradients = run(case, np.float64, upstream)
    arrays = op_table.widened(case.arrays)
    rounding = 100 * np.finfo(np.float64).eps * float((np.abs(u) * (truth.output_scales[0] + 1)).sum()) / h

    def value(name, direction, sign):
        _, outputs = forward(case, np.float64, arrays | {name: arrays[name] + sign * h * direction})
        return float((outputs[0].numpy() * u).sum())

    for name, gradient in gradients.items():
        size = gradient.size
        chosen = rng.permutation(size)[:coordinates]
        directions = [np.eye(1, size, i).reshape(gradient.shape) for i in chosen]
        directions.append(rng.standard_normal(gradient.shape))
        for v in directions if size else ():
            numeric = (value(name, v, 1) - value(name, v, -1)) / (2 * h)
            analytic = float((gradient * v).sum())
            allowed = rounding + 1e-6 * float((np.abs(v) * (truth.gradient_scales[name] + 1)).sum())
            assert abs(numeric - analytic) <= allowed, f"{name}: {analytic} but differences {numeric}: {case}"


def bits(case, dtype=np.float32):
    """The outputs and gradients of a run as bytes."""
    outputs, _ = op_table.evaluate(case.op, op_table.widened(case.arrays), case.arguments)
    outputs, gradients = run(case, dtype, op_table.upstream_of(case, np.shape(outputs[0])))
    return [a.tobytes() for a in (*outputs, *gradients.values())]


def assert_bitwise_stable(case, set_num_threads):
    """Right, and the same bits for 1, 2, 3, 5 and 8 threads and in 20 runs."""
    check(case, dtypes=(np.float32,))
    set_num_threads(1)
    first = bits(case)
    for count in (8, 5, 3, 2):
        set_num_threads(count)
        assert bits(case) == first, f"{count} threads differ from 1: {case}"
    for i in range(20):
        assert bits(case) == first, f"run {i} differs: {case}"


def failures(cases, function, shown=5):
    """Runs `function` on every case -> (count of cases, text of the first failures)."""
    count, messages = 0, []
    for case in cases:
        count += 1
        try:
            function(case)
        except Exception as error:
            messages.append(f"{type(error).__name__}: {str(error).splitlines()[0]} [{case}]")
    return count, f"{len(messages)} of {count} fail:\n" + "\n".join(messages[:shown]) if messages else ""


def watched(monkeypatch, module, name):
    """A list that gets the keyword arguments of every call of ``module.name``, which goes on doing what it does."""
    calls, function = [], getattr(module, name)

    def noted(*args, **kwargs):
        calls.append(kwargs)
        return function(*args, **kwargs)

    monkeypatch.setattr(module, name, noted)
    return calls
