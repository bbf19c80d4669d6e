"""Two workers on two cores, one thread each."""

import gc
import os
from pathlib import Path

import pytest

# Each worker computes on one thread. Two threads gain nothing on tables of a test's
# size, and where other processes keep the cores busy they wait for each other, which
# takes ten times as long. The libraries read these variables when they are imported.
# Threads of a test that sets their number sleep when they have nothing to do.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("MPLBACKEND", "Agg")

MAX_WORKERS = 8

collect_ignore = ["tests/no_geometric"]

# What the collection makes stays until the end: there is no garbage to look for.
gc.disable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """Spread the whole suite over the cores, and nothing less: imports cost seconds."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    # Unlike the number that the operating system gives, it respects a CPU quota.
    from joblib import cpu_count

    return min(cpu_count(), MAX_WORKERS)


def pytest_collection_modifyitems(items):
    """Start the long tests first, some in the share of each of two workers.

    A long test that comes last would leave the other worker without work.
    """
    long = [item for item in items if item.get_closest_marker("long")]
    files = dict.fromkeys(item.path for item in long)
    half = list(files)[::2]
    first = [item for item in long if item.path in half]
    second = [item for item in long if item.path not in half]
    rest = [item for item in items if not item.get_closest_marker("long")]
    at = max(0, len(items) // 2 - len(first))
    items[:] = [*first, *rest[:at], *second, *rest[at:]]


def pytest_collection_finish():
    """Have the garbage collector pass over what is there before the first test.

    It looks for cycles less often than by default, which is every few hundred objects:
    networks and their graphs are many objects, few of which are garbage.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _path_of_processes():
    """Have the processes that tests start find the tests, and no torch-geometric."""
    root = Path(__file__).parent
    with pytest.MonkeyPatch.context() as patch:
        for folder in (root, root / "tests" / "no_geometric"):
            patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        yield


@pytest.fixture
def set_threads():
    """Set the number of torch's threads until the test ends."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
