"""A fit in several processes is the same as in one, or is refused."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from numpy.testing import assert_array_equal

from skmtl.modules.draws import Dropout, RowsHere, drawn_for, in_blocks, own_generators
from tests.training import in_processes
from tests.training.in_processes import all_outcomes, fitted, outcome

ROOT = Path(__file__).parents[2]
DIFFER = r"ValueError: The 2 processes of this fit differ in \["
PASS = "Every process must pass a source of the same rows"
SAME = "Every process must call fit with equal hyperparameters and the same table"


def start(*command):
    """Run a module in a process, or several."""
    subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        check=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=400,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes of torchrun have written; started once for all workers."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder = root / "processes"
    with FileLock(root / "processes.lock"):
        if not (folder / "whole").exists():
            folder.mkdir(exist_ok=True)
            launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
            start(*launch, "-m", "tests.training.in_processes", folder)
            (folder / "whole").touch()
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """What each of the two processes has found out."""
    files = [folder / f"found-{rank}.json" for rank in (0, 1)]
    return [json.loads(file.read_text()) for file in files]


def read(folder, name):
    return [np.load(folder / f"{name}-{rank}.npz") for rank in (0, 1)]


def test_fits_are_those_of_one_process(folder):
    first, second = read(folder, "fits")
    expected = all_outcomes()
    assert set(first) == set(expected)
    differ = {}
    for name, value in expected.items():
        assert_array_equal(first[name], second[name], err_msg=name)
        tolerance = 1e-5 if name.endswith("/levels") else 1e-3
        if not np.allclose(first[name], value, rtol=0, atol=tolerance, equal_nan=True):
            differ[name] = np.nanmax(np.abs(first[name] - value))
    assert not differ


# With penalties, dropout, several passes back, losses measured again, piles.
SAME_BITS = ["AITM", "SoftSharing", "ChainedMMoE", "shared_parameters", "famo", "piles"]


def test_micro_batches_of_one_process_give_the_same_bits(folder, monkeypatch):
    monkeypatch.setitem(in_processes.OWN, "n_microbatches", 2)
    fits = read(folder, "fits")[0]
    for name in SAME_BITS:
        for key, value in outcome(in_processes.FITS[name]()).items():
            assert_array_equal(fits[f"{name}/{key}"], value, err_msg=name)
    monkeypatch.undo()
    whole = in_processes.FITS["AITM"]()
    assert not np.array_equal(fits["AITM/levels"], outcome(whole)["levels"])


def test_several_micro_batches_in_each_process(folder):
    expected = outcome(in_processes.in_four())
    for fits in read(folder, "in four"):
        for key, value in expected.items():
            assert_array_equal(fits[key], value)


def test_a_fit_again_has_the_same_bits(folder):
    name = "MMoE"
    for fits, again in zip(read(folder, "fits"), read(folder, "again"), strict=True):
        for key in again:
            assert_array_equal(fits[f"{name}/{key}"], again[key])


def test_without_a_seed_all_processes_draw_that_of_the_first(folder):
    first, second = read(folder, "drawn")
    for key in first:
        assert_array_equal(first[key], second[key])
    of_zero = read(folder, "again")[0]
    assert np.abs(first["levels"] - of_zero["levels"]).max() > 1e-3


def test_a_checkpoint_of_all_processes_resumes_a_fit(folder, found):
    """One that was interrupted, and one that ended as a process was slow."""
    through = outcome(fitted(max_iter=4))
    assert found[0]["saved"]
    for resumed in read(folder, "resumed") + read(folder, "recovered"):
        np.testing.assert_allclose(resumed["levels"], through["levels"], atol=1e-5)
        assert len(resumed["history"]) == len(through["history"])
    assert not list((folder / "shared").iterdir())


def test_processes_that_see_one_folder_share_its_piles(folder):
    both = zip(read(folder, "together"), read(folder, "apart"), strict=True)
    for together, apart in both:
        for key in together:
            assert_array_equal(together[key], apart[key])
        # Those of the rows to train on and of the rows set aside, once.
        assert together["n_folders"] == 2
    for scratch in folder.glob("scratch*"):
        assert not list(scratch.iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("table", f"ValueError: .* differ in \\['the rows to train on'.*{SAME}"),
        ("labels", f"ValueError: .* differ in \\['the rows to train on'.*{SAME}"),
        ("rate", f"ValueError: .* differ in learning_rate .0.01 and 0.02.. {SAME}"),
        ("seed", f"ValueError: .* differ in random_state .0 and 1.. {SAME}"),
        ("one seed", f"ValueError: .* differ in random_state .0 and None.. {SAME}"),
        ("dropout rate", f"ValueError: .* differ in dropout .0.1 and 0.6.. {SAME}"),
        ("part", "ValueError: .* differ in sharing__act .'relu' and 'tanh'.. Every"),
        ("scoring", "ValueError: .* differ in scoring .'mean_auc' and 'mean_brier'"),
        ("patience", f"ValueError: .* differ in n_iter_no_change .1 and 5.. {SAME}"),
        ("groups", f"ValueError: .* differ in \\['the groups'\\]. {SAME}"),
        ("tol", f"ValueError: .* differ in tol .0.0 and 0.5.. {SAME}"),
        ("unreadable", "ValueError: .* differ in learning_rate_schedule .*Unreadable"),
        ("checkpoint of one", "ValueError: .* differ in checkpoints .0 and 1.. Every"),
        ("method", "ValueError: .* differ in fit .PartialFit and Fit.. Every"),
        ("tasks", "ValueError: .* differ in tasks .*'b', 'c'.* and .*'b', 'd'"),
        ("batch norm", "ValueError: .*BatchNorm1d, whose statistics.*LayerNorm"),
        ("dropout", "ValueError: .*1 is a .*dropout.Dropout, which draws.*skmtl.mod"),
        ("RReLU", "ValueError: .*1 is a .*RReLU, which draws.*or a layer that does no"),
        ("attention", "ValueError: .*1.layer is a .*MultiheadAttention, which draws"),
        ("function", "ValueError: .*1 is a .*Drops, which draws"),
        ("compiled", "ValueError: compile=True with dropout draws other numbers"),
        ("folder", "ValueError: .* differ in .'the checkpoint'.*a folder that they s"),
        ("diverged", "ValueError: The loss of task 'click' is no longer a finite num"),
        ("damaged", "ValueError: (Process 0 of 2: )?.*log-0.* is damaged"),
        ("shards", f"{DIFFER}'the files of X'.. {PASS}"),
        ("fewer rows", f"{DIFFER}'the number of rows of X', 'the files of X'.. {PASS}"),
        ("columns", f"{DIFFER}'the columns of X', 'the files of X'.. {PASS}"),
        ("shards of a query", f"{DIFFER}'the first rows of X'.. {PASS}"),
        ("longer query", f"{DIFFER}'the number of rows of X', 'the first rows of X'"),
        ("shards for validation", f"{DIFFER}'the files of X_val'.. {PASS}"),
        ("X_val of one", f"{DIFFER}'X_val'"),
        (
            "no scratch",
            "ValueError: (Process 1 of 2: )?scratch_dir=.*nowhere' is not a",
        ),
        ("no file", "FileNotFoundError: (Process 1 of 2: )?There is no Parquet file"),
        ("no bias column", "ValueError: (Process 1 of 2: )?.*bias_features"),
        ("no validation labels", "ValueError: (Process 1 of 2: )?.*_val"),
        ("wrong type", "(TypeError: Process 1 of 2|InvalidP.*): The 'max_iter' param"),
        (
            "wrong type on a source",
            "(TypeError: Process 1 of 2|InvalidP.*): The 'dropout' parameter",
        ),
        ("wrong parts", "(TypeError: Process 1|InvalidP).*: The 'n_microbatches' par"),
        ("parts of one", "ValueError: .* differ in n_microbatches .2 and 4.. Every"),
        ("three parts", "ValueError: n_microbatches=3 cannot be divided among 2 proc"),
        ("no mark", "(PermissionError|OSError: Process 1 of 2): may not write"),
        ("slow", "RuntimeError: Process . of 2 waits for others that have ended, th"),
    ],
)
def test_every_process_says_what_is_wrong(found, name, message):
    for of_process in found:
        assert re.match(message, of_process[name])


@pytest.mark.parametrize(
    "name",
    [
        "unreadable in both",
        "attention without dropout",
        "noise for all rows",
        "threads and lines",
    ],
)
def test_what_is_the_same_in_every_process_is_taken(found, name):
    assert [of_process[name] for of_process in found] == ["", ""]


def test_a_process_says_that_another_has_ended(found):
    assert re.match("RuntimeError: Process 0 of 2 waits for others", found[0]["lost"])


def test_the_first_process_prints(found):
    first, second = (of_process["printed"] for of_process in found)
    assert first.startswith("epoch 1/2")
    assert "pass 2 of 2, encoding" in first
    assert not second


@pytest.mark.parametrize(("n", "count", "size"), [(7, 4, 3), (9, 2, 4), (6, 3, 6)])
def test_rows_draw_the_same_wherever_they_are(n, count, size):
    x = torch.ones(2, n, 5)
    layer = Dropout(0.4)

    def draws(rows, x):
        with own_generators(0, "cpu"), drawn_for(rows):
            return torch.cat(in_blocks(lambda x: layer(layer(x)), x, size), dim=1)

    whole = draws(None, x)
    for first in range(0, n, count):
        at = torch.arange(first, first + count).clamp(max=n - 1)
        here = draws(RowsHere(first, count, n), x[:, at])
        torch.testing.assert_close(here, whole[:, at])
