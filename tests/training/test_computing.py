"""Threads: the same bits on any number, and never many times slower."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from skmtl import MMoE, ShareBottom
from skmtl.training import computing
from skmtl.training.computing import StepThreads, Way, on_threads, seeded
from tests.rankers.conftest import make_impressions

SMALL = {"max_iter": 1, "random_state": 0, "categorical_features": ["user", "item"]}


@pytest.fixture(autouse=True)
def two_threads():
    found = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(found)


@pytest.mark.parametrize("n_threads", [1, 2, "auto", None])
def test_bits_are_equal_for_any_number(n_threads, impressions):
    X, y = impressions
    expected = MMoE(n_threads=1, **SMALL).fit(X, y).predict_task_proba(X)
    ranker = MMoE(n_threads=n_threads, **SMALL).fit(X, y)
    assert_array_equal(ranker.predict_task_proba(X), expected)


def test_the_wanted_number_is_set_within_and_reset(impressions, monkeypatch):
    seen = []
    forward = ShareBottom._make_towers

    def spy(self, *args):
        seen.append(torch.get_num_threads())
        return forward(self, *args)

    monkeypatch.setattr(ShareBottom, "_make_towers", spy)
    X, y = impressions
    for n_threads in (1, 2, "auto", None):
        ShareBottom(n_threads=n_threads, **SMALL).fit(X, y)
    assert seen == [1, 2, 1, 2]


def test_an_error_resets_the_number():
    with pytest.raises(KeyError), on_threads(1):
        raise KeyError
    assert torch.get_num_threads() == 2


def clock(monkeypatch, seconds_on):
    """A clock that runs by the number of threads of each step."""
    now = [0.0]
    monkeypatch.setattr(computing, "perf_counter", lambda: now[0])
    monkeypatch.setattr(computing, "available_threads", lambda: 2)

    def steps(chooser, n):
        used = []
        for _ in range(n):
            with chooser.step():
                used.append(torch.get_num_threads())
                now[0] += seconds_on[used[-1]]
        return used

    return steps


def test_the_faster_number_is_chosen_by_the_clock(monkeypatch):
    seconds_on = {1: 1.0, 2: 0.6}
    steps = clock(monkeypatch, seconds_on)
    chooser = StepThreads("auto", 1e9)
    assert steps(chooser, 12) == [1] * 4 + [2] * 4 + [2] * 4
    steps(chooser, 400 - 4)
    seconds_on[2] = 10.0  # another process has come
    assert steps(chooser, 20)[-11:] == [1] * 11
    # It is not tried as often as the others once it is hopeless.
    assert steps(StepThreads("auto", 1e9), 8) == [1] * 4 + [2] + [1] * 3
    # A gain of less than a tenth is not worth a core.
    seconds_on.update({1: 1.0, 2: 0.95})
    assert steps(StepThreads("auto", 1e9), 20)[8:] == [1] * 12


def test_parts_at_once_are_chosen_by_the_clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(computing, "perf_counter", lambda: now[0])
    monkeypatch.setattr(computing, "available_threads", lambda: 2)
    for n_threads, of_each, at_once, expected in (
        ("auto", 0.7, 0.6, 2),
        ("auto", 0.6, 0.7, 1),
        ("auto", 0.95, 0.95, 1),
        (2, 0.7, 0.6, 2),
        (2, 0.6, 0.7, 1),
    ):
        chooser = StepThreads(n_threads, 1e9, 3)
        seconds = {Way(1): 1.0, Way(2): of_each, Way(1, 2): at_once}
        for _ in range(20):
            with chooser.step():
                now[0] += seconds[Way(torch.get_num_threads(), chooser.at_once)]
        assert chooser.at_once == expected
    assert StepThreads(1, 1e9, 3).candidates == [Way(1)]


def test_small_steps_stay_on_one(monkeypatch):
    steps = clock(monkeypatch, {1: 1.0, 2: 0.5})
    assert set(steps(StepThreads("auto", 1e5), 20)) == {1}
    assert set(steps(StepThreads(2, 1e5), 20)) == {2}
    assert set(steps(StepThreads(None, 1e5), 20)) == {2}


def test_a_fit_chooses_among_the_threads_of_its_caller(impressions, monkeypatch):
    made = []

    def recorded(*args):
        made.append(StepThreads(*args))
        return made[-1]

    monkeypatch.setattr("skmtl.training.net.StepThreads", recorded)
    monkeypatch.setattr("skmtl.training.computing.joblib.cpu_count", lambda: 2)
    for n_threads in (2, 1):
        made.clear()
        torch.set_num_threads(n_threads)
        MMoE(batch_size=512, **SMALL).fit(*impressions)
        assert [one.candidates for one in made] == [[Way(1), Way(n_threads)]] * 2
    torch.set_num_threads(2)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_predicts_and_fits():
    """OpenMP's threads and held locks do not survive a fork."""
    X, y = make_impressions(6000)
    ranker = ShareBottom(n_threads=2, **SMALL).fit(X, y)
    expected = ranker.predict_task_proba(X)
    held, done = threading.Event(), threading.Event()

    def hold():
        with seeded(0, "cpu"):
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if not child:
        signal.alarm(60)
        same = False
        try:
            same = (ranker.predict_task_proba(X) == expected).all()
            same &= (ranker.fit(X, y).predict_task_proba(X) == expected).all()
        finally:
            os._exit(0 if same else 3)
    status = os.waitpid(child, 0)[1]
    done.set()
    thread.join()
    assert status == 0


@pytest.mark.parametrize(
    "context",
    [
        lambda: torch.autocast("cpu", torch.bfloat16),
        lambda: torch.device("meta"),
        torch.no_grad,
        torch.inference_mode,
    ],
)
def test_contexts_of_the_caller_change_nothing(context, impressions):
    X, y = impressions
    expected = ShareBottom(**SMALL).fit(X, y).predict_task_proba(X)
    with context():
        ranker = ShareBottom(**SMALL).fit(X, y)
        assert_array_equal(ranker.predict_task_proba(X), expected)
    assert_array_equal(ranker.predict_task_proba(X), expected)


def test_the_default_dtype_of_the_caller_changes_nothing(impressions):
    X, y = impressions
    expected = MMoE(**SMALL).fit(X, y).predict_task_proba(X)
    torch.set_default_dtype(torch.float64)
    try:
        ranker = MMoE(**SMALL).fit(X, y)
        assert_array_equal(ranker.predict_task_proba(X), expected)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert {p.dtype for p in ranker.net_.module_.parameters()} == {torch.float32}


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two processors")
def test_busy_processors_do_not_make_a_fit_many_times_slower():
    """Two threads that wait for each other once took 20 times as long."""
    X, y = make_impressions(20_000)
    ranker = MMoE(max_iter=1, random_state=0, batch_size=512, n_threads="auto")

    def processor_seconds():
        start = time.process_time()
        ranker.fit(X, y)
        return time.process_time() - start

    idle = processor_seconds()
    stop = threading.Event()
    spin = "while True: pass"
    others = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(2)]
    try:
        # Threads that spin while they wait show as time of this process's own.
        busy = processor_seconds()
    finally:
        stop.set()
        for other in others:
            other.kill()
            other.wait()
    assert busy < 2.5 * idle
    assert np.isfinite(ranker.score(X, y))
