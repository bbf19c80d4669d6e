"""Bits, texts, hashes and vectors are those of another process with another seed."""

import json
import os
import subprocess
import sys

import pytest

from tests.in_a_fresh_process import ALL, hashed_rows


@pytest.fixture(scope="module")
def there():
    """What a fresh interpreter with another hash seed prints."""
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    code = "from tests.in_a_fresh_process import print_all; print_all()"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(found.stdout)


@pytest.mark.parametrize("function", ALL, ids=lambda function: function.__name__)
def test_another_process_finds_the_same(function, there):
    assert function() == there[function.__name__]


def test_a_fit_does_not_import_the_compiler_of_torch(there):
    """It takes longer than a small fit."""
    assert "torch.optim" in there["modules"]
    assert "torch._dynamo" not in there["modules"]


def test_hashes_are_fixed_for_all_time():
    """A ranker that was saved must find its rows again."""
    assert hashed_rows() == [
        [147, 1037, 215, 1002],
        [912, 1022, 751, 1047],
        [1000, 1046, 87, 1003],
        [151, 1034, 872, 1008],
    ]
