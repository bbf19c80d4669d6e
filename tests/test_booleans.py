"""True is not a number of anything."""

import inspect

import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from skmtl import MMoE, rankers
from skmtl._sklearn import Interval
from skmtl.encoding import TableEncoder

ALL = [getattr(rankers, name) for name in rankers.__all__]
KINDS = [kind for kind in ALL if not inspect.isabstract(kind)]


def counts(kind):
    """Parameters that take a number, but no boolean by name."""
    return [
        name
        for name, allowed in kind._parameter_constraints.items()
        if any(isinstance(one, Interval) for one in allowed)
        and "boolean" not in allowed
    ]


@pytest.mark.parametrize("kind", [*KINDS, TableEncoder])
@pytest.mark.parametrize("value", [True, np.True_, False])
def test_booleans_are_refused(kind, value):
    for name in counts(kind):
        made = kind().set_params(**{name: value})
        with pytest.raises(InvalidParameterError, match=f"'{name}' parameter"):
            made._validate_params()


def test_numbers_are_not():
    assert {"n_microbatches", "batch_size", "n_threads"} <= set(counts(MMoE))
    MMoE(batch_size=np.int64(4), learning_rate=np.float32(0.1))._validate_params()
