"""Rows to compare on: known, unseen and missing ids, and extreme numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

_FAR = (0.0, 1e-300, 1e300, -1e300, 1.7e308, -1.7e308, float("nan"))


def trial_rows(encoder: Any, n_rows: int, seed: int = 0) -> pd.DataFrame:
    """A table that a fitted encoder reads, of cells drawn from what it knows.

    Parameters
    ----------
    encoder : TableEncoder
        The encoder.
    n_rows : int
        Rows of the table.
    seed : int
        Seed of the draws.

    Returns
    -------
    DataFrame
        Half of the cells are ordinary, the others missing, unseen or extreme.
    """
    rng = np.random.default_rng(seed)
    columns: dict[int, Any] = {}
    for name, place in zip(
        encoder.categorical_names_, encoder._categorical, strict=True
    ):
        columns[place] = _ids(encoder, name, rng, n_rows)
    for name, place in zip(encoder.bag_names_, encoder._lists, strict=True):
        lengths = rng.integers(0, 6, size=n_rows)
        cells = _ids(encoder, name, rng, int(lengths.sum())).tolist()
        ends = lengths.cumsum()
        column = pd.Series(
            [cells[e - n : e] for e, n in zip(ends, lengths, strict=True)]
        )
        columns[place] = column.where(rng.random(n_rows) > 0.05, None)
    for scale, place in zip(encoder._scales, encoder._numeric, strict=True):
        columns[place] = _numbers(scale, rng, n_rows)
    names = encoder._matched_names() or range(encoder.n_features_in_)
    table = pd.DataFrame({place: columns[place] for place in sorted(columns)})
    table.columns = pd.Index(names)
    return table


def _ids(encoder: Any, name: Any, rng: np.random.Generator, n: int) -> pd.Series:
    """Ids of a column: nine in ten known, the others unseen or missing."""
    vocabulary = encoder._vocabularies[encoder.vocabulary_places_[name]]
    keys = np.asarray(vocabulary.keys)
    strange = _strange(keys, bool(vocabulary.numbers))
    known = keys if len(keys) else strange
    cells = known[rng.integers(len(known), size=n)].astype(object)
    draw = rng.random(n)
    unseen = draw > 0.93
    cells[unseen] = strange[rng.integers(len(strange), size=int(unseen.sum()))]
    cells[draw < 0.05] = None
    return pd.Series(cells, dtype=object)


def _strange(keys: np.ndarray, numbers: bool) -> np.ndarray:
    """Ids that are not among the keys."""
    if not numbers:
        words = ["", "unseen", "ünseen", " ", *(f"unseen {k}" for k in range(4))]
        known = set(keys.tolist())
        return np.array([word for word in words if word not in known], dtype=object)
    if keys.dtype.kind == "f":
        return np.array([x for x in (0.125, -7.5, 1e9 + 0.5) if x not in keys], object)
    tries = [0, -2, 7, 16_777_217, 2**31, 2**62, -(2**62)]
    return np.array([k for k in tries if k not in keys], dtype=object)


def _numbers(scale: Any, rng: np.random.Generator, n: int) -> np.ndarray:
    """Numbers like those of `fit`, edges of bins and what is next to them, far ones."""
    width = 1 / scale.scale if scale.scale else 1.0
    ordinary = scale.center + width * rng.standard_normal(n)
    edges = scale.edges
    if edges is None or not len(edges):
        edges = np.array([scale.center])
    near = np.concatenate([edges, np.nextafter(edges, -np.inf), np.array(_FAR)])
    return np.where(rng.random(n) < 0.5, ordinary, rng.choice(near, size=n))
