"""Two workers on two cores, one thread each."""

import os

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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """Spread the whole suite over the cores, and nothing less: imports cost seconds."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    # Unlike the number that the operating system gives, it respects a CPU quota.
    from joblib import cpu_count

    return min(cpu_count(), MAX_WORKERS)


@pytest.fixture
def set_threads():
    """Set the number of torch's threads until the test ends."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
