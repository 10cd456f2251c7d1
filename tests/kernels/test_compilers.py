"""What compilation leaves out, and what it must not."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys

import numba
import numpy as np
import pytest
from kernel_calls import from_python

from ckinetics.kernels.compiling import cache
from ckinetics.kernels.compiling.jit import call_from_python, cold, curve_pointer, inline, larger, smaller

compiled_only = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


@inline
def _powers(x, k):
    return x**2 + x**-0.5 + x / k - (x // k) * (x % k) + (k if k > 2 else -k)


@cold
def _sum(x, n):
    total, start = 0.0, n
    for i in range(n):
        total += x[i] * start
        start = start - 1
    return total


@cold
def _second(pair, x):
    return pair[1] * x if x > 0.0 else pair[0]


def test_operators_of_mixed_numbers():
    powers = from_python(_powers)
    for x, k in ((2.5, 2), (7.25, 3)):
        assert powers(x, k) == pytest.approx(_plain(_powers)(x, k), rel=1e-15)


def _plain(function):
    return getattr(function, "py_func", function)


@pytest.mark.parametrize("values", [(1.0, 2.0), (2.0, 1.0), (np.nan, 1.0), (1.0, np.nan), (-0.0, 0.0)])
def test_larger_and_smaller_are_those_of_python(values):
    np.testing.assert_array_equal(from_python(larger)(*values), max(*values))
    np.testing.assert_array_equal(from_python(smaller)(*values), min(*values))


def test_an_address_is_called_from_python():
    def fill(n, times, theta, out, grad, more):
        for i in range(n):
            out[i] = times[i] * theta[0] + _second((7, 0.5), times[i])
        more[0] = 7
        grad[0] = _sum(times, n) if n > 2 else 0.0
        return n

    collects = gc.isenabled()
    times, out, grad, more = np.arange(1.0, 4.0), np.zeros(3), np.zeros(1), np.zeros(1, np.int64)
    assert call_from_python(curve_pointer(fill), 3, times, np.array([2.0]), out, grad, more) == 3
    assert gc.isenabled() == collects
    assert (out.tolist(), grad.tolist(), more.tolist()) == ([2.5, 5.0, 7.5], [10.0], [7])


_FIRST, _LATER = 3, 4


def _operators(n, times, theta, out, grad, more):
    """Fill what operators make of each pair of numbers, real and whole, and what becomes of constants."""
    code, count = _FIRST, 0
    for i in range(n):
        a, b, k, m = times[i], theta[i], more[2 * i], more[2 * i + 1]
        total = a + b - a * b
        total += a
        total -= 2.0
        total *= b
        out[4 * i], out[4 * i + 1] = total, a / b
        out[4 * i + 2], out[4 * i + 3] = k + m - k * m + k / m, k // m
        for given, found in enumerate((a < b, a <= b, a > b, a >= b, a == b, a != b, not a < b)):
            grad[14 * i + given] = 1.0 if found else 0.0
        for given, found in enumerate((k < m, k <= m, k > m, k >= m, k == m, k != m, k < b)):
            grad[14 * i + 7 + given] = 1.0 if found else 0.0
        if a != a:
            code = _LATER
        count += k
    more[0], more[1] = code, count
    return code


@pytest.mark.parametrize("both_infinite", [False, True])
def test_compiled_operators_do_what_those_of_python_do(both_infinite):
    times = np.array([1.5, 2.0, 2.0, np.nan, 1.0, -0.0, np.inf])
    theta = np.array([2.0, 1.5, 2.0, 1.0, np.nan, 0.25, np.inf if both_infinite else -np.inf])
    more = np.array([[3, 4], [4, 3], [5, 5], [-2, 7], [7, -2], [2**40, 3], [-1, -1]])
    n = len(times)
    expected = (np.zeros(4 * n), np.zeros(14 * n), more.ravel().copy())
    with np.errstate(invalid="ignore"):
        code = _operators(n, times, theta, *expected)
    found = (np.zeros(4 * n), np.zeros(14 * n), more.ravel().copy())
    assert call_from_python(curve_pointer(_operators), n, times, theta, *found) == code == _LATER
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@compiled_only
def test_an_interruption_waits_for_the_end_of_a_compilation():
    from ckinetics.kernels.compiling.compilers import PlainCompiler

    reached = []

    class Interrupted(PlainCompiler):
        def define_pipelines(self):
            signal.raise_signal(signal.SIGINT)  # as where LLVM calls back
            reached.append(True)
            return super().define_pipelines()

    before = signal.getsignal(signal.SIGINT)
    compile_it = numba.njit(numba.float64(numba.float64), pipeline_class=Interrupted, _nrt=False)
    with pytest.raises(KeyboardInterrupt):
        compile_it(lambda x: 2.0 * x)
    assert reached
    assert signal.getsignal(signal.SIGINT) is before


@compiled_only
@pytest.mark.parametrize(("method", "other"), [("rodas5p", "tsit5"), ("tsit5", "rodas5p")])
def test_only_the_method_in_use_is_compiled(tmp_path, method, other):
    code = f"""
import numba.core.event as event
import numpy as np
from ckinetics.modeling import load_model
from ckinetics.modeling.solving import solve
model = load_model("cytokine_expansion")
with event.install_recorder("numba:compile") as recorder:
    solve(model, np.array([[1.0, 2.0]]), model.natural_parameters(None)[0][None],
          outputs=list(model.specification.outputs)[:1], free=np.arange(2), method="{method}")
print(*(event.data["dispatcher"].py_func.__module__ for _, event in recorder.buffer))
"""
    environment = os.environ | {"CKINETICS_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert f"ckinetics.kernels.ode.{method}" in done.stdout.split()
    assert f"ckinetics.kernels.ode.{other}" not in done.stdout.split()


@pytest.mark.parametrize(
    ("version", "asked", "expected"),
    [("0.68.1", "", True), ("0.68.1", "1", False), ("0.60.0", "", False), ("0.99.0", "", False), ("1.0rc1", "", False)],
)
def test_versions_of_numba_that_are_not_known_compile_in_their_own_way(monkeypatch, version, asked, expected):
    monkeypatch.setattr(cache, "version", lambda name: version)
    monkeypatch.setenv("CKINETICS_PLAIN_NUMBA", asked)
    assert cache.fast_compiler.__wrapped__() is expected


@compiled_only
@pytest.mark.slow  # each way compiles the solver and the search: about a minute and a half
def test_both_ways_of_compiling_give_the_same_digits(tmp_path):
    code = """
import numpy as np
import ckinetics as ck
from ckinetics.kernels.compiling.cache import fast_compiler
model = ck.load_model("cytokine_expansion")
data = ck.simulate("stein2019", times=[1, 3, 5, 7, 9, 11, 14, 21, 28, 60, 90, 180], n=2, seed=1, lloq=50)
found = ck.fit(data, "stein2019", starts=2, interval="t")
print(fast_compiler(), model.evaluate([1, 7, 28]).tolist(), found["estimates/estimate"].values.tolist(),
      found["estimates/upper"].values.tolist())
"""
    said = []
    for plain in ("0", "1"):
        environment = os.environ | {"CKINETICS_CACHE_DIR": str(tmp_path), "CKINETICS_PLAIN_NUMBA": plain}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        said.append(done.stdout.split(" ", 1))
    assert [way for way, _ in said] == ["True", "False"]
    assert said[0][1] == said[1][1]
