"""The Census-Income (KDD) table, read from the data folder or downloaded."""

import gzip
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skmtl.datasets._checks import (
    RandomState,
    check_generator,
    check_int,
    check_real,
)
from skmtl.datasets._remote import (
    download,
    get_data_home,
    prepare_folder,
    read_local,
    write_atomic,
)
from skmtl.datasets._tables import labels, make_bunch, read_table, take_rows

_FOLDER = "census_income_kdd"
_TRAIN, _TEST = "census-income.data", "census-income.test"
# sha256 of the uncompressed files, which does not depend on how they are compressed.
_MEMBERS = {
    _TRAIN: "3676a81db7d3528f3f8b9f3c699d0f0aa28db45e6e994fa0b8ed38327539ee86",
    _TEST: "98402b1ab879573d0a7f38a699a40258080e25e33d3401e7bf9c96d3fa0fab8c",
}
_ARCHIVE = "census+income+kdd.zip"
_UCI = "https://archive.ics.uci.edu"
# The archive's current address, then its older one. Either has the whole table.
_SOURCES = (
    (f"/static/public/117/{_ARCHIVE}",),
    (
        f"/ml/machine-learning-databases/census-income-mld/{_TRAIN}.gz",
        f"/ml/machine-learning-databases/census-income-mld/{_TEST}.gz",
    ),
)
# fmt: off
_COLUMNS = [
    "age", "class_worker", "det_ind_code", "det_occ_code", "education", "wage_per_hour",
    "hs_college", "marital_stat", "major_ind_code", "major_occ_code", "race",
    "hisp_origin", "sex", "union_member", "unemp_reason", "full_or_part_emp",
    "capital_gains", "capital_losses", "stock_dividends", "tax_filer_stat",
    "region_prev_res", "state_prev_res", "det_hh_fam_stat", "det_hh_summ",
    "instance_weight", "mig_chg_msa", "mig_chg_reg", "mig_move_reg", "mig_same",
    "mig_prev_sunbelt", "num_emp", "fam_under_18", "country_father", "country_mother",
    "country_self", "citizenship", "own_or_self", "vet_question", "vet_benefits",
    "weeks_worked", "year", "income_50k",
]
_INTEGERS = [
    "age", "wage_per_hour", "capital_gains", "capital_losses", "stock_dividends",
    "num_emp", "weeks_worked",
]
# fmt: on


def fetch_census_income(
    *,
    data_home: str | os.PathLike[str] | None = None,
    keep_education: bool = False,
    return_X_y: bool = False,
    return_splits: bool = False,
    random_state: RandomState = 0,
    download_if_missing: bool = True,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Any:
    """Load the Census-Income (KDD) table; download it when it is missing.

    The table [1]_ is the usual public benchmark of multi-task ranking: income above
    50,000 dollars and never married, with the protocol of [2]_. Numbers are int64,
    the other columns, including all codes, have dtype ``category``, and a missing value
    is NaN.

    Parameters
    ----------
    data_home : path-like, default=None
        The data folder. ``None`` means the environment variable ``SKMTL_DATA_HOME``
        or, without it, ``~/skmtl_data``. The files lie in its folder
        ``census_income_kdd``: ``census-income.data`` and ``census-income.test``,
        uncompressed or with ``.gz`` or ``.bz2``, or the archive
        ``census+income+kdd.zip``.
    keep_education : bool, default=False
        Keep the input ``education``, which the protocol of [2]_ leaves out.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    return_splits : bool, default=False
        Return training, validation and test parts. The original test file is split
        1:1 at random into the last two.
    random_state : int, Generator, RandomState or None, default=0
        Controls the split of the test file. The default gives the same split each time.
    download_if_missing : bool, default=True
        If False, raise an OSError when the files are not in the data folder.
    n_retries : int, default=3
        Number of times that a failed download is tried again.
    delay : float, default=1.0
        Seconds between two attempts.

    Returns
    -------
    sklearn.utils.Bunch or tuple
        With the defaults, a dictionary with attributes:

        data : DataFrame of shape (299285, 38), or 39 with ``education``
            The inputs, without ``marital_stat`` and ``instance_weight``. The first
            199,523 rows are the original training file.
        target : DataFrame of shape (299285, 2), int64
            Tasks ``income`` (above 50,000 dollars) and ``never_married``; 0 or 1.
        frame : DataFrame of shape (299285, 40), or 41
            ``data`` and ``target`` side by side.
        sample_weight : Series of shape (299285,), float64
            ``instance_weight``, the number of people that a row stands for.
        split : Series of shape (299285,), category
            ``"train"`` or ``"test"``: the original file of the row.
        feature_names, target_names : list of str
            The columns of ``data`` and ``target``.
        DESCR : str
            The description of the table.

        With ``return_X_y``, the tuple ``(data, target)``. With ``return_splits``, a
        Bunch of three such Bunches, ``train`` (199,523 rows), ``validation`` and
        ``test`` (49,881 rows each). With both, three tuples ``(data, target)`` in
        that order.

    Raises
    ------
    OSError
        If the files are missing and must not be downloaded, if the download fails, or
        if a file's content has the wrong checksum. A wrong download is never kept.

    Notes
    -----
    The sha256 of the uncompressed content is checked at every call, however the file
    is compressed. A download is verified first, then stored with gzip under a temporary
    name and renamed.

    References
    ----------
    .. [1] Census-Income (KDD) (2000). UCI Machine Learning Repository.
       https://doi.org/10.24432/C5N30T. Licence: CC BY 4.0.
    .. [2] Ma, J., Zhao, Z., Yi, X., Chen, J., Hong, L., and Chi, E. H. (2018). Modeling
       Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts.
       KDD 2018, section 6.

    Examples
    --------
    >>> from skmtl.datasets import fetch_census_income
    >>> census = fetch_census_income(return_splits=True)  # doctest: +SKIP
    >>> census.train.data.shape  # doctest: +SKIP
    (199523, 38)
    """
    n_retries = check_int("n_retries", n_retries, low=0)
    delay = check_real("delay", delay, low=0.0)
    # Before the download, so that a wrong argument costs nothing.
    generator = check_generator(random_state)
    folder = get_data_home(data_home) / _FOLDER
    contents = read_local(folder, _MEMBERS, archives=(_ARCHIVE,))
    if contents.keys() != _MEMBERS.keys():
        if not download_if_missing:
            raise OSError(_missing_message(folder))
        contents = _download_to(folder, n_retries=n_retries, delay=delay)
    bunch = _parse(contents, keep_education=keep_education)
    if return_splits:
        bunch = _split(bunch, generator)
        if return_X_y:
            return tuple((part.data, part.target) for part in bunch.values())
    return (bunch.data, bunch.target) if return_X_y else bunch


def _missing_message(folder: Path) -> str:
    return (
        f"{_TRAIN} and {_TEST} are not both in {folder}. Set download_if_missing=True, "
        "or download https://archive.ics.uci.edu/dataset/117/census+income+kdd into "
        "that folder, or set another one with data_home or SKMTL_DATA_HOME."
    )


def _download_to(folder: Path, *, n_retries: int, delay: float) -> dict[str, bytes]:
    """Download and store both files; return their content."""
    prepare_folder(folder)
    failures = []
    for source in _SOURCES:
        urls = tuple(_UCI + path for path in source)
        try:
            contents = download(urls, _MEMBERS, n_retries=n_retries, delay=delay)
            break
        except OSError as error:
            failures.append(str(error))
    else:
        raise OSError("Census-Income could not be downloaded. " + " ".join(failures))
    for name, content in contents.items():
        write_atomic(folder / f"{name}.gz", gzip.compress(content, compresslevel=6))
    return contents


def _parse(contents: dict[str, bytes], *, keep_education: bool) -> Bunch:
    # Every line ends with a newline, the last one included.
    n_train = contents[_TRAIN].count(b"\n")
    # One parse of both files gives every column one set of categories.
    table = read_table(
        io.BytesIO(contents[_TRAIN] + contents[_TEST]),
        names=_COLUMNS,
        integers=_INTEGERS,
        floats=["instance_weight"],
    )
    target = labels(
        # The files write a full stop after the label.
        income=table["income_50k"] == "50000+.",
        never_married=table["marital_stat"] == "Never married",
    )
    # The first holds the label of `never_married`, the second is a weight.
    dropped = ["marital_stat", "instance_weight", "income_50k"]
    if not keep_education:
        dropped.append("education")
    return make_bunch(
        "census_income",
        table.drop(columns=dropped),
        target,
        n_train=n_train,
        sample_weight=table["instance_weight"],
    )


def _split(bunch: Bunch, generator: np.random.Generator) -> Bunch:
    """Return training, validation and test parts; their rows keep their order."""
    in_test = np.flatnonzero(bunch.split == "test")
    validation = generator.permutation(in_test)[: len(in_test) // 2]
    return Bunch(
        train=take_rows(bunch, np.flatnonzero(bunch.split == "train")),
        validation=take_rows(bunch, np.sort(validation)),
        test=take_rows(bunch, np.setdiff1d(in_test, validation)),
    )
