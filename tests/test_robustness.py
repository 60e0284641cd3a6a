"""The library as a guest in someone's process: fork, threads, memory, idle CPU, import time, environment."""

import os
import resource
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import convkit as ck
from cases import generate
from convkit.bench.shapes import parse
from support import bits, problem_case

LARGE = "conv:n2c33h40o40k3p1"  # enough work for several threads


def python(code, **environment):
    """Runs code in a fresh interpreter -> CompletedProcess with text output."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def output(code, **environment):
    done = python(code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_ops_after_fork():
    """The parent has used its threads before; the child computes the same with one thread, and ends."""
    code = """
import os, numpy as np, convkit as ck
ck.set_num_threads(2)
x = ck.tensor(np.linspace(-1, 1, 2 * 40 * 40 * 33, dtype=np.float32).reshape(2, 40, 40, 33), requires_grad=True)
w = ck.tensor(np.linspace(-1, 1, 40 * 9 * 33, dtype=np.float32).reshape(40, 3, 3, 33), requires_grad=True)
def step():
    x.grad = w.grad = None
    y = ck.conv2d(x, w, padding=1)
    y.sum().backward()
    return y.numpy().tobytes() + x.grad.numpy().tobytes() + w.grad.numpy().tobytes()
want = step()
child = os.fork()
if child == 0:
    os._exit(0 if step() == want and ck.get_num_threads() == 1 else 7)
_, status = os.waitpid(child, 0)
assert step() == want
print(os.waitstatus_to_exitcode(status), ck.get_num_threads())
"""
    assert output(code) == "0 2"


def test_fork_while_other_threads_allocate():
    """No lock of the library stays taken in a child whose threads are gone."""
    code = """
import os, threading, time, warnings
import convkit as ck
warnings.simplefilter("ignore", DeprecationWarning)
x, running = ck.ones((4,)), True
def allocate():
    while running:
        x + x
threads = [threading.Thread(target=allocate) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(150):
    child = os.fork()
    if child == 0:
        x + x
        os._exit(0)
    deadline = time.monotonic() + 10
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, 9)
            print("a child hangs")
            os._exit(0)
        time.sleep(0.0005)
running = False
"""
    assert output(code) == ""


def test_two_python_threads_at_once():
    cases = [problem_case(parse(text)) for text in (LARGE, "conv:n3c24h33o48k3s2p1")]
    want = [bits(case) for case in cases]
    wrong = []

    def work(case, expected):
        for _ in range(15):
            if bits(case) != expected:
                wrong.append(str(case))

    workers = [threading.Thread(target=work, args=pair) for pair in zip(cases, want) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def resident_kib():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() // 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_200_random_shapes_leave_the_memory_flat():
    ops = ("conv2d", "conv_transpose2d", "max_pool2d", "matmul")
    cases = [case for op in ops for case in generate(op, seed=5)][::6]
    assert len(cases) >= 200
    for case in cases:
        bits(case)
    before = resident_kib()
    for case in cases:
        bits(case)
    assert resident_kib() - before < 8 * 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_free_memory_is_bounded_and_goes_back_to_the_system():
    """After 160 MB in use at once 240 MB may be held, used or free; what is too much goes back."""
    code = """
import os
import convkit as ck
def resident_mb():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
pieces = [ck.ones(2 << 20) for _ in range(20)]
before = resident_mb()
pieces = pieces[::5]
others = [ck.ones(3 << 20) for _ in range(8)]
print(ck._core.cached_bytes() >> 20, resident_mb() - before)
"""
    kept, grown = map(int, output(code).split())
    assert kept <= 240 - 32 - 96 and grown <= 240 - 160 + 2


def test_omp_num_threads_and_set_num_threads():
    code = "import convkit as ck; print(ck.get_num_threads()); ck.set_num_threads(3); print(ck.get_num_threads())"
    assert output(code, OMP_NUM_THREADS="1").split() == ["1", "3"]
    assert output(code, OMP_NUM_THREADS="5").split() == ["5", "3"]


@pytest.mark.parametrize("count", [0, -1])
def test_thread_counts_below_one_are_refused(count):
    with pytest.raises(ValueError, match=rf"^\[set_num_threads\] .*Received: {count}"):
        ck.set_num_threads(count)


def test_one_thread_means_one_thread():
    """With set_num_threads(1) no second operating system thread is started."""
    code = """
import os, convkit as ck
from convkit.bench.shapes import parse
before = len(os.listdir("/proc/self/task"))
ck.set_num_threads(1)
ck.conv2d(ck.ones((2, 40, 40, 33)), ck.ones((40, 3, 3, 33)), padding=1)
print(len(os.listdir("/proc/self/task")) - before)
"""
    assert output(code) == "0"


def test_idle_threads_burn_no_cpu():
    code = """
import time, convkit as ck
ck.set_num_threads(2)
x, w = ck.ones((2, 40, 40, 33)), ck.ones((40, 3, 3, 33))
for _ in range(3):
    ck.conv2d(x, w, padding=1)
time.sleep(0.1)
before = time.process_time()
time.sleep(0.5)
print(time.process_time() - before)
"""
    assert float(output(code)) < 0.05


def test_import_adds_at_most_100_ms_to_numpys():
    code = """
import time, numpy
start = time.process_time()  # of this process alone: other load on the machine does not count
import convkit
print(time.process_time() - start)
"""
    # As installed: with bytecode, which the first run leaves behind.
    assert min(float(output(code, PYTHONDONTWRITEBYTECODE="")) for _ in range(5)) <= 0.1


def test_import_needs_nothing_but_numpy():
    code = """
import sys, convkit
loaded = {name.partition(".")[0] for name in sys.modules}
print(*sorted(loaded & {"torch", "PIL", "matplotlib", "safetensors", "scipy"}))
"""
    assert output(code) == ""


@pytest.mark.parametrize("name", ["avx1024", "AVX2 ", ""])
def test_an_unknown_isa_is_an_import_error_that_lists_the_available(name):
    if name == "":
        assert output("import convkit as ck; print(ck._core.active_isa())", CONVKIT_ISA="") in ck._core.available_isas()
        return
    done = python("import convkit", CONVKIT_ISA=name)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError") and repr(name).strip("'") in last
    assert all(isa in last for isa in ck._core.available_isas())


@pytest.mark.parametrize("name", ck._core.available_isas())
def test_every_available_isa_can_be_forced(name):
    assert output("import convkit as ck; print(ck._core.active_isa())", CONVKIT_ISA=name) == name


def test_every_isa_computes_the_same_within_rounding(each_isa):
    x, w = np.ones((1, 5, 5, 3), np.float32), np.ones((4, 3, 3, 3), np.float32)
    np.testing.assert_array_equal(ck.conv2d(x, w).numpy(), np.full((1, 3, 3, 4), 27, np.float32))


@pytest.mark.parametrize("size", [1 << 46, (1 << 60) - 1])
def test_a_size_beyond_the_memory_is_an_error_that_names_it(size):
    with pytest.raises(ValueError, match=rf"^\[full\] not enough memory for {8 * size} bytes\. Received: shape"):
        ck.zeros((size,), dtype=ck.float64)


def test_keyboard_interrupt_between_ops_is_prompt():
    started = time.monotonic()
    code = """
import os, signal, threading, convkit as ck
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits SIGINT ignored
x, w = ck.ones((2, 40, 40, 33)), ck.ones((40, 3, 3, 33))
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    while True:
        ck.conv2d(x, w, padding=1)
except KeyboardInterrupt:
    print("interrupted")
"""
    assert output(code) == "interrupted" and time.monotonic() - started < 30
