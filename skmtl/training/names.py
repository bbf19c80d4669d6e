"""Hyperparameters that do not exist here, and the names that they have here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from skmtl._containers import as_frame, has_names, is_source
from skmtl._messages import did_you_mean, shown
from skmtl._typing import ColumnName, TableLike
from skmtl.encoding import TableEncoder
from skmtl.encoding._columns import chosen_places

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
    text = f"{owner}.__init__() got an unexpected keyword argument {shown(name)}."
    known = sorted(known)
    hint = _hint(name, known)
    if hint is not None:
        return f"{text} Here it is {hint}."
    return text + (did_you_mean(name, known) or f" It takes {known}.")


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
    features: str | Sequence[ColumnName] | None,
    known: TableEncoder | None,
    **tables: TableLike | None,
) -> None:
    """Refuse tables in memory without the columns that bias labels.

    Parameters
    ----------
    features
        As in the rankers.
    known : TableEncoder or None
        The encoder of a ranker that continues to train.
    **tables
        Tables of training or validation by the name of their argument.

    Raises
    ------
    ValueError, TypeError
        As `check_bias_columns`.
    """
    names = {
        name: list(as_frame(table).columns)
        for name, table in tables.items()
        # Columns without names are counted instead, when they are encoded.
        if table is not None and not is_source(table) and has_names(table)
    }
    X = tables.get("X")
    if known is None and not ("X" in names or X is None or is_source(X)):
        names = {"X": list(as_frame(X).columns)}
    check_bias_columns(features, known, **names)


def check_bias_columns(
    features: str | Sequence[ColumnName] | None,
    known: TableEncoder | None,
    **tables: Sequence[ColumnName],
) -> None:
    """Refuse tables of training or validation without the columns that bias labels.

    Parameters
    ----------
    features
        As in the rankers.
    known : TableEncoder or None
        The encoder of a ranker that continues to train: later tables need the columns
        that its first table had. None for the columns of the table `X`.
    **tables
        Names of the columns by the argument that gave the table.

    Raises
    ------
    ValueError, TypeError
        For columns that are not there, with their name, and if `features` are not those
        that the network was made for.
    """
    if known is None:
        if features is None or "X" not in tables:
            return
        own = _named(features, tables["X"])
    else:
        seen, own = known._matched_names(), list(known.optional_names_)
        # Columns without names are called by their positions.
        _check_same(features, seen or range(known.n_features_in_), own)
        if seen is None:
            return
    for table, names in tables.items():
        for one in own:
            if one not in names:
                raise _lacks(one, table, names)


def _named(
    features: str | Sequence[ColumnName], names: Sequence[ColumnName]
) -> list[ColumnName]:
    """Names of the columns that bias labels."""
    for one in [features] if isinstance(features, str) else features:
        if isinstance(one, str) and one not in names:
            raise _lacks(one, "X", names)
    places = chosen_places(features, names, "bias_features")
    return [names[place] for place in sorted(places)]


def _lacks(one: ColumnName, table: str, names: Sequence[ColumnName]) -> ValueError:
    return ValueError(
        f"bias_features names {shown(one)}, which {table} lacks. Only tables to "
        f"predict may do without it. The columns are {list(names)}."
    )


def _check_same(
    features: str | Sequence[ColumnName] | None,
    seen: Sequence[ColumnName],
    own: Sequence[ColumnName],
) -> None:
    """Refuse other columns than those that the network has a tower for."""
    try:
        now = [] if features is None else _named(features, seen)
    except ValueError:
        # Raises below, where the message names the columns of the network.
        now = None
    if now is None or set(now) != set(own):
        raise ValueError(
            f"bias_features={features!r} cannot change once a ranker is fitted: its "
            f"network was made with {list(own) or None}. Set it back, or fit again "
            "with warm_start=False."
        )
