"""Parsing and Bunches, shared by the loaders of tables."""

from collections import defaultdict
from collections.abc import Iterable
from importlib.resources import files
from typing import IO

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

MISSING = "?"


def read_table(
    file: IO[bytes],
    *,
    integers: Iterable[str],
    floats: Iterable[str] = (),
    names: list[str] | None = None,
) -> pd.DataFrame:
    """Parse a CSV of the UCI archive; columns that are not numbers are categories."""
    dtypes: defaultdict[str, str] = defaultdict(lambda: "category")
    dtypes.update(dict.fromkeys(integers, "int64"))
    dtypes.update(dict.fromkeys(floats, "float64"))
    table = pd.read_csv(
        file,
        names=names,
        header=0 if names is None else None,
        dtype=dtypes,
        skipinitialspace=True,
        # Only "?" is missing: by default pandas also reads "NA", "None" and "" as such.
        keep_default_na=False,
        na_values=[MISSING],
    )
    # Some versions of pandas turn categories that look like numbers into numbers.
    for name in table.columns[table.dtypes == "category"]:
        categories = [str(value) for value in table[name].cat.categories]
        column = table[name].cat.rename_categories(categories)
        table[name] = column.cat.reorder_categories(sorted(categories))
    return table


def labels(**positive: pd.Series) -> pd.DataFrame:
    """Return a table of tasks, int64 0 or 1, from boolean columns."""
    return pd.DataFrame(
        {task: column.astype("int64") for task, column in positive.items()}
    )


def describe(name: str) -> str:
    """Return the description of a data set."""
    path = files("skmtl.datasets") / "descr" / f"{name}.rst"
    return path.read_text(encoding="utf-8")


def make_bunch(
    name: str,
    data: pd.DataFrame,
    target: pd.DataFrame,
    *,
    n_train: int,
    sample_weight: pd.Series,
) -> Bunch:
    """Return a Bunch in the form of scikit-learn's fetchers."""
    # The training file comes first.
    in_test = (np.arange(len(data)) >= n_train).astype(np.int8)
    split = pd.Categorical.from_codes(in_test, pd.Index(["train", "test"]))
    return Bunch(
        data=data,
        target=target,
        frame=pd.concat([data, target], axis=1),
        sample_weight=sample_weight,
        split=pd.Series(split, name="split"),
        feature_names=list(data.columns),
        target_names=list(target.columns),
        DESCR=describe(name),
    )


def take_rows(bunch: Bunch, rows: np.ndarray) -> Bunch:
    """Return a Bunch of those rows, numbered from 0."""
    return Bunch(
        **{
            key: value.iloc[rows].reset_index(drop=True)
            if isinstance(value, pd.DataFrame | pd.Series)
            else value
            for key, value in bunch.items()
        }
    )
