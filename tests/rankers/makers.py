"""Rankers of every kind that train in a moment."""

import inspect

from skmtl import rankers

ON_IMPRESSIONS = {"random_state": 0, "categorical_features": ["user", "item"]}
SMALL = {**ON_IMPRESSIONS, "max_iter": 3, "tower_units": (8,), "batch_size": 128}

OWN = {"bottom_units": (16,), "expert_units": (16,), "n_experts": 3}

KINDS = [getattr(rankers, name) for name in rankers.__all__]


def small(kind):
    """A maker of a ranker that trains in a moment."""
    known = inspect.signature(kind).parameters
    own = {name: value for name, value in OWN.items() if name in known}
    if "n_experts" in known:
        own["bottom_units"] = ()
    return lambda **k: kind(**{**SMALL, **own, **k})


MAKERS = {kind.__name__: small(kind) for kind in KINDS if not inspect.isabstract(kind)}
small_mmoe = MAKERS["MMoE"]
