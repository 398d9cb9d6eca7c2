"""
Time compilation: how it grows with the program, and how it compares with CPython's own `compile()` of the emitted text.

Two kinds of straight-line forward code: `mixed` reads the two values before each statement, `chain` nests one function call in
the next (as deep as the program is long). Each size runs in a process of its own, so that its peak memory is its own.

    python benchmarks/compile_time.py                  # 1,000, 10,000 and 100,000 statements, and start-up
    python benchmarks/compile_time.py --sizes 10000    # one size
    python benchmarks/compile_time.py --check          # exit 1 if a bound is exceeded
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

_RATIO = 4.0
_MEGABYTES = 2000.0
#: Time for ten times the statements, over ten times the time: what still counts as linear.
_GROWTH = 1.5
_PHASES = {
    "reverse": ("reverse",),
    "passes": (
        "recognise", "eliminate_dead", "find_guards", "schedule", "cut", "share", "fold", "expand", "simplify", "collect", "forward_aliases", "guard_branches",
    ),
    "emit": ("_header", "_render"),
}  # fmt: skip


def forward(kind: str, size: int) -> str:
    """Return straight-line forward code of `size` statements."""
    shapes = ("math.sin({} * {})", "{} * {} + x", "{} - 0.5 * {}", "math.exp(-({} * {}))")
    lines = ["import math", "", "", "def f(x, y):"]
    last, before = "x", "y"
    for i in range(size):
        right = shapes[i % 4].format(last, before) if kind == "mixed" else f"math.sin({last})"
        lines.append(f"    v{i} = {right}")
        last, before = f"v{i}", last
    return "\n".join([*lines, f"    return {last}", ""])


def measure(kind: str, size: int, check: str) -> dict[str, float]:
    """Compile one program; return the processor seconds of each phase and of CPython's compile, and the peak memory in megabytes."""
    from bpcompile import compiler  # noqa: PLC0415  the child process alone needs it
    from bpcompile.diagnostics import Source  # noqa: PLC0415  as above
    from bpcompile.frontends import python_source  # noqa: PLC0415  as above

    spent = dict.fromkeys(_PHASES, 0.0)

    def timed(phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent[phase] += time.process_time() - start

        return run

    for phase, names in _PHASES.items():
        for name in names:
            if hasattr(compiler, name):
                setattr(compiler, name, timed(phase, getattr(compiler, name)))
    emitter = compiler.Emitter
    for name in ("__init__", "context", "emitted"):
        setattr(emitter, name, timed("emit", getattr(emitter, name)))
    source = Source(forward(kind, size), "forward.py")
    start = time.process_time()
    program = python_source.read_code(source)
    parsed = time.process_time()
    compiled = compiler.compile_program(program, compiler.Options(check=check))
    total = time.process_time()
    # CPython's compiler makes no cycles either: neither side is charged for the collector.
    gc.disable()
    cpython = []
    for _ in range(1 if size > 20_000 else 3):  # the long ones are steady enough
        begin = time.process_time()
        compile(compiled.source, "<gradient>", "exec")
        cpython.append(time.process_time() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return {
        "parse": parsed - start,
        **spent,
        "total": total - start,
        "cpython": min(cpython),
        "megabytes": peak,
        "lines": float(compiled.source.count("\n")),
    }


def startup(arguments: list[str], runs: int = 5) -> float:
    """Return the least seconds that the command line takes, from start to end."""
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "bpcompile", *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603  our own module
        best = min(best, time.perf_counter() - start)
    return best


def _child(kind: str, size: int, check: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", kind, str(size), check]
    result = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  this very file
    found: dict[str, float] = json.loads(result.stdout)
    return found


def main() -> int:
    """Print the tables; with `--check` return 1 if a bound is exceeded."""
    parser = argparse.ArgumentParser(description="Time compilation beside CPython's compile() of the emitted text.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--levels", nargs="+", default=["off", "fast"], help="levels of the certificate")
    parser.add_argument("--check", action="store_true", help="exit 1 if a bound is exceeded")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        kind, size, level = chosen.child
        print(json.dumps(measure(kind, int(size), level)))
        return 0
    failures: list[str] = []
    phases = " ".join(f"{name:>7}" for name in ("parse", "reverse", "passes", "emit", "total", "cpython"))
    print(f"{'program':>16} {'check':>5} {phases} {'ratio':>6} {'growth':>6} {'MB':>6}")
    for level in chosen.levels:
        for kind in ("mixed", "chain"):
            before: tuple[int, float] | None = None
            for size in chosen.sizes:
                runs = [_child(kind, size, level) for _ in range(1 if size > 20_000 else 3)]  # short runs are the noisy ones
                # Each side keeps its own least time: the run with the least ratio may be one in which CPython was disturbed.
                seconds = min(runs, key=lambda run: run["total"])
                seconds["cpython"] = min(run["cpython"] for run in runs)
                ratio = seconds["total"] / seconds["cpython"]
                growth = 0.0 if before is None else (seconds["total"] / before[1]) / (size / before[0])
                before = size, seconds["total"]
                phases = " ".join(f"{seconds[p]:7.2f}" for p in ("parse", "reverse", "passes", "emit", "total", "cpython"))
                print(f"{kind:>8} {size:>7} {level:>5} {phases} {ratio:6.2f} {growth:6.2f} {seconds['megabytes']:6.0f}", flush=True)
                if level == "off" and ratio > _RATIO:
                    failures.append(f"{kind} {size}: {ratio:.2f} times CPython's compile()")
                if growth > _GROWTH:
                    failures.append(f"{kind} {size}: grows {growth:.2f} times faster than the program")
                if seconds["megabytes"] > _MEGABYTES:
                    failures.append(f"{kind} {size}: {seconds['megabytes']:.0f} MB")
    print(f'start-up: `bpcompile -e "x*y"` {startup(["-e", "x*y"]):.2f} s, `bpcompile --help` {startup(["--help"]):.2f} s')
    for failure in failures:
        print("above its bound:", failure)
    return 1 if chosen.check and failures else 0


if __name__ == "__main__":
    sys.exit(main())
