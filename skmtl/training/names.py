"""Hyperparameters that do not exist here, and the names that they have here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from numbers import Integral

from skmtl._containers import as_frame, is_source
from skmtl._typing import ColumnName, TableLike

# Names of scikit-learn, skorch, LightGBM and DeepCTR, and what to write here.
FOREIGN = {
    "activation": "ReLU, or that of a module of your own, MultiTaskRanker(sharing=...)",
    "alpha": "weight_decay",
    "categorical_feature": "categorical_features",
    "class_weight": "label_weight, a mapping from tasks to the weight of positives",
    "criterion": "loss_weight for the tasks, and label_weight for their labels",
    "dnn_dropout": "dropout",
    "dnn_hidden_units": "bottom_units, expert_units and tower_units",
    "dnn_use_bn": "a module of your own, MultiTaskRanker(sharing=...)",
    "early_stopping_rounds": "early_stopping=True, with n_iter_no_change",
    "epochs": "max_iter",
    "eval_metric": "scoring",
    "eval_set": "fit(X, y, X_val=..., y_val=...)",
    "expert_dnn_hidden_units": "expert_units",
    "gate_dnn_hidden_units": "bottom_units, which gates read",
    "hidden_layer_sizes": "bottom_units or expert_units, and tower_units",
    "is_unbalance": 'label_weight="balanced"',
    "iterator_train": "batch_size; rows are shuffled in each epoch",
    "iterator_valid": "batch_size",
    "learning_rate_init": "learning_rate",
    "lr": "learning_rate",
    "max_epochs": "max_iter",
    "module": "the class of the ranker, or MultiTaskRanker with sharing= and towers=",
    "momentum": "optimizer__momentum",
    "n_estimators": "max_iter",
    "n_jobs": "n_threads",
    "num_experts": "n_experts",
    "num_iterations": "max_iter",
    "num_threads": "n_threads",
    "nthread": "n_threads",
    "patience": "n_iter_no_change",
    "predict_nonlinearity": "predict_proba, which gives probabilities",
    "scale_pos_weight": "label_weight, a mapping from tasks to the weight of positives",
    "seed": "random_state",
    "solver": "optimizer",
    "task_names": "the columns of y, whose names are those of the tasks",
    "tower_dnn_hidden_units": "tower_units",
    "train_split": "validation_split, or fit(X, y, X_val=..., y_val=...)",
}
# Of skorch, where what follows the underscores is a parameter of the ranker's own.
_OPEN = {
    "callbacks": "set_params({name}=...), once the callback has a name",
    "criterion": "loss_weight, a strategy of skmtl.weighting with its parameters",
    "iterator_train": "batch_size",
    "iterator_valid": "batch_size",
}


def unexpected(owner: str, name: str, known: Iterable[str]) -> str:
    """Say that a constructor has no such hyperparameter, and which one is meant.

    Parameters
    ----------
    owner : str
        The class.
    name : str
        What was given.
    known : iterable of str
        The hyperparameters that it has.

    Returns
    -------
    str
        A sentence for a `TypeError`.
    """
    text = f"{owner}.__init__() got an unexpected keyword argument {name!r}."
    known = sorted(known)
    hint = _hint(name, known)
    if hint is not None:
        return f"{text} Here it is {hint}."
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"{text} Did you mean {close[0]!r}?"
    return f"{text} It takes {known}."


def _hint(name: str, known: list[str]) -> str | None:
    if name in FOREIGN:
        return FOREIGN[name]
    part, _, own = name.partition("__")
    if part == "module" and own:
        where = own if own in known else "a hyperparameter of the ranker itself"
        return f"{where}, without module__"
    if own and part in _OPEN:
        return _OPEN[part].format(name=name)
    return None


def check_bias_features(
    features: str | Sequence[ColumnName] | None, **tables: TableLike | None
) -> None:
    """Refuse tables in memory without the columns that bias labels.

    Parameters
    ----------
    features
        As in the rankers.
    **tables
        Tables of training or validation by the name of their argument.

    Raises
    ------
    ValueError
        With the column's name.
    """
    for name, table in tables.items():
        if not (features is None or table is None or is_source(table)):
            check_bias_columns(features, list(as_frame(table).columns), name)


def check_bias_columns(
    features: str | Sequence[ColumnName] | None, names: Sequence[ColumnName], table: str
) -> None:
    """Refuse a table of training or validation without the columns that bias labels.

    Parameters
    ----------
    features
        As in the rankers.
    names : sequence of str or int
        Columns of the table.
    table : str
        The argument that gave it, for the error.

    Raises
    ------
    ValueError
        With the column's name.
    """
    if features is None:
        return
    for one in [features] if isinstance(features, str) else features:
        if one in names:
            continue
        whole = int(one) if isinstance(one, Integral) and one is not True else None
        if whole is not None and -len(names) <= whole < len(names):
            continue
        raise ValueError(
            f"bias_features names {one!r}, which {table} lacks. Only tables to predict "
            f"may do without it. The columns are {list(names)}."
        )
