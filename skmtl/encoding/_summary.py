"""A table of what each column was read as."""

from __future__ import annotations

from typing import TypedDict

import pandas as pd

from skmtl._typing import ColumnName
from skmtl.encoding._hashing import HashedIds
from skmtl.encoding._numbers import ColumnProfile
from skmtl.encoding._table import FittedEncoder

# Characters of an example value that are shown.
_WIDTH = 24


class ColumnKind(TypedDict):
    """What a column is read as, and how many rows its table has."""

    read_as: str
    rows: int


def summarize(encoder: FittedEncoder) -> pd.DataFrame:
    """Describe the columns of a fitted encoder; see `TableEncoder.summary`."""
    names = encoder._matched_names() or list(range(encoder.n_features_in_))
    kinds = _kinds(encoder)
    rows = []
    for place, name in enumerate(names):
        width = (encoder._widths or {}).get(place)
        if width is None:
            rows.append({**kinds[name], **_shown((encoder._profile or {}).get(name))})
        else:
            rows.append(_vector(encoder, name, width))
    table = pd.DataFrame(
        rows, index=pd.Index(names, name="column", tupleize_cols=False)
    )
    # Nullable integers: some counts are not known.
    counts = ["rows", "distinct", "missing", "rare"]
    return table.astype(dict.fromkeys(counts, "Int64"))


def _kinds(encoder: FittedEncoder) -> dict[ColumnName, ColumnKind]:
    """What each column is read as, and how many rows its table has."""
    found: dict[ColumnName, ColumnKind] = {}
    places, sizes = encoder.vocabulary_places_, encoder.vocabulary_sizes_
    for names, what in (
        (encoder.categorical_names_, "ids"),
        (encoder.bag_names_, "lists of ids"),
    ):
        for name in names:
            hashed = isinstance(encoder._vocabularies[places[name]], HashedIds)
            kind = f"{what}, hashed" if hashed else what
            found[name] = {"read_as": kind, "rows": sizes[places[name]]}
    for name, scale in zip(encoder.numeric_names_, encoder._scales, strict=True):
        found[name] = {"read_as": "numbers", "rows": scale.n_bins}
    return found


def _shown(profile: ColumnProfile | None) -> dict[str, object]:
    if profile is None:
        return dict.fromkeys(["distinct", "missing", "rare", "unknown_share"])
    return {**profile, "examples": ", ".join(map(_short, profile["examples"]))}


def _short(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def _vector(encoder: FittedEncoder, name: ColumnName, width: int) -> dict[str, object]:
    """One line for all numbers of a vector; its examples are their medians."""
    assert encoder._profile is not None
    parts = [encoder._profile[f"{name}[{k}]"] for k in range(width)]
    medians = [part["examples"][1] for part in parts[:3] if part["examples"]]
    return {
        "read_as": f"vectors of {width} numbers",
        "rows": sum(_kinds(encoder)[f"{name}[{k}]"]["rows"] for k in range(width)),
        "distinct": None,
        # A vector is missing where all of its numbers are.
        "missing": min(part["missing"] for part in parts),
        "rare": 0,
        "unknown_share": min(part["unknown_share"] for part in parts),
        "examples": ", ".join([*map(_short, medians), *["…"] * (width > 3)]),
    }
