"""The Adult table, embedded."""

import bz2
from importlib.resources import files
from typing import Any

from skmtl.datasets._tables import labels, make_bunch, read_table

_DATA = files("skmtl.datasets") / "data" / "adult.csv.bz2"
_INTEGERS = (
    "age",
    "fnlwgt",
    "education_num",
    "capital_gain",
    "capital_loss",
    "hours_per_week",
)
_N_TRAIN = 32_561


def load_adult(*, drop_relationship: bool = False, return_X_y: bool = False) -> Any:
    """Load the Adult table with two tasks: income and never married.

    The table [1]_ is part of the package; nothing is downloaded. Numbers are int64,
    the other columns have dtype ``category``, and a missing value is NaN.

    Parameters
    ----------
    drop_relationship : bool, default=False
        Leave out the column ``relationship``. It decides ``never_married`` for the
        half of the rows that are ``Husband`` or ``Wife``.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    sklearn.utils.Bunch or tuple
        A dictionary with attributes, or ``(data, target)``:

        data : DataFrame of shape (48842, 12), or 11 without ``relationship``
            The inputs, without ``fnlwgt`` and ``marital_status``. The first 32,561
            rows are the original training file.
        target : DataFrame of shape (48842, 2), int64
            Tasks ``income`` (above 50,000 dollars) and ``never_married``; 0 or 1.
        frame : DataFrame of shape (48842, 14), or 13
            ``data`` and ``target`` side by side.
        sample_weight : Series of shape (48842,), int64
            ``fnlwgt``, the number of people that a row stands for.
        split : Series of shape (48842,), category
            ``"train"`` or ``"test"``: the original file of the row.
        feature_names, target_names : list of str
            The columns of ``data`` and ``target``.
        DESCR : str
            The description of the table.

    References
    ----------
    .. [1] Becker, B., and Kohavi, R. (1996). Adult. UCI Machine Learning Repository.
       https://doi.org/10.24432/C5XW20. Licence: CC BY 4.0.

    Examples
    --------
    >>> from skmtl.datasets import load_adult
    >>> adult = load_adult()
    >>> adult.data.shape
    (48842, 12)
    >>> adult.target.mean().round(4).to_dict()
    {'income': 0.2393, 'never_married': 0.33}
    """
    with _DATA.open("rb") as raw, bz2.open(raw) as file:
        table = read_table(file, integers=_INTEGERS)
    target = labels(
        income=table["income"] == ">50K",
        never_married=table["marital_status"] == "Never-married",
    )
    # `marital_status` holds the label of `never_married`; `fnlwgt` is a weight.
    dropped = ["fnlwgt", "marital_status", "income"]
    if drop_relationship:
        dropped.append("relationship")
    data = table.drop(columns=dropped)
    if return_X_y:
        return data, target
    return make_bunch(
        "adult", data, target, n_train=_N_TRAIN, sample_weight=table["fnlwgt"]
    )
