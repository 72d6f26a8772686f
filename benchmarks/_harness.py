"""Timing, peak memory and tables shared by the benchmarks.

Times are CPU seconds of this process with every thread pool limited to one
thread. On an idle machine that is the wall time; on a busy one it does not
depend on the neighbours.
"""

import argparse
import contextlib
import json
import platform
import shlex
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from statistics import median

import torch
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"


@contextlib.contextmanager
def single_thread():
    """Limit BLAS, OpenMP and torch to one thread inside the block."""
    before = torch.get_num_threads()
    with threadpool_limits(limits=1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def cpu_seconds(func, *, repeats=3, warm_up=True):
    """Return the median CPU time of ``func()`` and its last result.

    The warm-up call is not counted: it pays for imports, compilation and caches.
    A call longer than ten seconds is neither warmed up nor repeated: what the
    warm-up removes no longer shows.
    """
    seconds = []
    for _ in range(repeats + warm_up):
        start = time.process_time()
        result = func()
        seconds.append(time.process_time() - start)
        if seconds[-1] > 10:
            return seconds[-1], result
    return median(seconds[warm_up:]), result


def peak_memory():
    """Return the largest resident size of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux its maximum is inherited from the parent.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource  # POSIX only

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def in_fresh_process(module, *arguments):
    """Run ``python -m module arguments`` and return the JSON of its last line.

    A fresh process is the only way to a peak memory that belongs to one task.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def environment():
    """Describe processor, threads and versions in one line."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    versions = ", ".join(
        f"{name} {metadata.version(name)}"
        for name in ("numpy", "scipy", "scikit-learn", "torch")
    )
    return (
        f"CPU seconds of one thread; {processor}; "
        f"Python {platform.python_version()}, {versions}"
    )


def number(value, digits=3):
    """Format a number for a table: three significant digits, no clutter."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.1e}"
    return f"{value:.{digits}g}" if abs(value) < 100 else f"{value:.0f}"


def ratio(value, reference):
    """Format ``value / reference`` as a factor."""
    return f"{number(value / reference)}x"


def table(header, rows):
    """Return a markdown table; cells that are numbers are formatted."""
    cells = [list(header)] + [[number(cell) for cell in row] for row in rows]
    widths = [max(len(row[j]) for row in cells) for j in range(len(header))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def save_section(name, text):
    """Replace one section of RESULTS.md, or append it."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    command = "python -m benchmarks." + shlex.join(
        [Path(sys.argv[0]).stem, *(a for a in sys.argv[1:] if a != "--save")]
    )
    section = f"{begin}\n`{command}`\n\n{environment()}\n\n{text}\n\n{end}"
    page = RESULTS.read_text() if RESULTS.exists() else "# Benchmark results\n\n"
    if begin in page:
        head, rest = page.split(begin, 1)
        page = head + section + rest.split(end, 1)[1]
    else:
        page += section
    RESULTS.write_text(page)


def parser(doc):
    """Return an argument parser that every benchmark shares."""
    result = argparse.ArgumentParser(
        description=doc.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    result.add_argument("--seed", type=int, default=0)
    result.add_argument(
        "--save", action="store_true", help="write the tables to RESULTS.md"
    )
    return result
