"""The caller's skorch callbacks: names, parameters, and which of them can work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from skorch.callbacks import (
    BatchScoring,
    Callback,
    EpochScoring,
    InputShapeSetter,
    LoadInitState,
    PassthroughScoring,
    PrintLog,
    TrainEndCheckpoint,
)
from skorch.callbacks import Checkpoint as SkorchCheckpoint

from skmtl.training.checkpoint import Checkpoint

Given: TypeAlias = Callback | type[Callback] | None
Entry: TypeAlias = Given | tuple[str, Given]


def check_callbacks(callbacks: Sequence[Entry] | None) -> None:
    """Raise for callbacks that skorch cannot call or that cannot work in a ranker.

    Raises
    ------
    TypeError
        For an entry that is neither a callback nor a pair of a name and a callback, and
        for one that changes the module.
    ValueError
        For one that loads weights, after which a fit would end with other predictions.
    """
    for place, entry in enumerate(callbacks or []):
        callback = _callback(entry)
        # skorch also takes classes, and makes instances of them.
        kind = callback if isinstance(callback, type) else type(callback)
        if callback is not None and not issubclass(kind, Callback):
            raise TypeError(
                f"callbacks[{place}] must be a callback of skorch, or a pair of a name "
                f"and one, found {entry!r}."
            )
        if issubclass(kind, InputShapeSetter):
            raise TypeError(
                f"callbacks[{place}] is an InputShapeSetter, but the network of a "
                "ranker takes the shape of its input from the table. Leave it out."
            )
        if issubclass(kind, LoadInitState):
            raise ValueError(
                f"callbacks[{place}] is LoadInitState of skorch, which restores "
                "weights and optimisers but not the position in training: the fit "
                "would end with other predictions than one that was not interrupted. "
                "Use skmtl.Checkpoint, which resumes exactly; warm_start=True "
                "continues from a fitted ranker."
            )
        if isinstance(callback, SkorchCheckpoint) and callback.load_best:
            raise ValueError(
                f"callbacks[{place}] is Checkpoint of skorch with load_best=True, "
                "which would reset the history with the weights. Rankers keep the best "
                "weights themselves, with early_stopping=True or X_val; "
                "skmtl.Checkpoint resumes a fit."
            )


def check_watched(callbacks: Sequence[Entry] | None) -> None:
    """Raise for callbacks that read validation rows if the fit has none.

    Raises
    ------
    ValueError
        For callbacks that watch a value on validation rows.
    """
    for place, entry in enumerate(callbacks or []):
        callback = _callback(entry)
        what = _read_of_validation(callback)
        if what is not None:
            raise ValueError(
                f"callbacks[{place}], {type(callback).__name__}, reads {what}, but "
                "this fit has no validation rows. Pass X_val and y_val to fit, or set "
                "early_stopping=True; or let it read the training rows "
                "(monitor='train_loss', on_train=True)."
            )


def _read_of_validation(callback: object) -> str | None:
    if isinstance(callback, EpochScoring | BatchScoring | PassthroughScoring):
        if not callback.on_train:
            return "the score of validation rows"
        return None
    # Such as EarlyStopping and Checkpoint; a callable cannot be looked into.
    monitor = getattr(callback, "monitor", None)
    if isinstance(monitor, str) and monitor.startswith("valid_"):
        return repr(monitor)
    return None


def checkpoints_apart(
    callbacks: Sequence[Entry] | None,
) -> tuple[list[Entry], list[Checkpoint]]:
    """A ranker's callbacks that are not checkpoints, and the one that is, if any.

    Raises
    ------
    ValueError
        If there are several.
    """
    others: list[Entry] = []
    found: list[Checkpoint] = []
    for entry in callbacks or []:
        callback = _callback(entry)
        if isinstance(callback, Checkpoint):
            found.append(callback)
        else:
            others.append(entry)
    if len(found) > 1:
        raise ValueError(
            f"callbacks has {len(found)} Checkpoints, but a fit can only be resumed "
            "from one. Keep one of them."
        )
    return others, found


def ends_apart(callbacks: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Separate callbacks that save the end of training from all others."""
    others: list[Entry] = []
    ends: list[Entry] = []
    for entry in callbacks:
        is_end = isinstance(_callback(entry), TrainEndCheckpoint)
        (ends if is_end else others).append(entry)
    return others, ends


def prints(callbacks: Sequence[Entry] | None) -> bool:
    """Whether a callback is there to print, for which skorch asks ``verbose`` too."""
    return any(
        one is PrintLog or isinstance(one, PrintLog)
        for one in map(_callback, callbacks or [])
    )


def callback_params(callbacks: Sequence[Entry] | None) -> dict[str, object]:
    """Callbacks and their parameters by the names that skorch gives them.

    Returns
    -------
    dict of str to object
        ``callbacks__lr`` and ``callbacks__lr__gamma``, for example.
    """
    found: dict[str, object] = {}
    if not isinstance(callbacks, list | tuple):
        return found  # `fit` refuses what is not a list
    for name, callback in _named(callbacks):
        found[f"callbacks__{name}"] = callback
        if isinstance(callback, Callback):
            for key, value in callback.get_params(deep=False).items():
                found[f"callbacks__{name}__{key}"] = value
    return found


def with_params(
    callbacks: Sequence[Entry] | None, params: Mapping[str, object]
) -> list[Entry]:
    """Set parameters of callbacks, or replace callbacks.

    Parameters
    ----------
    callbacks : sequence
        The callbacks of a ranker.
    params : mapping
        From ``lr__gamma`` to the value of that parameter; from ``lr`` to a callback, or
        to None to leave it out.

    Returns
    -------
    list
        The callbacks, as pairs of names and callbacks.

    Raises
    ------
    ValueError
        For names of callbacks that are not there.
    """
    found = dict(_named(callbacks))
    # Whole callbacks first, so that their parameters go to the new ones.
    for key, value in sorted(params.items(), key=lambda item: "__" in item[0]):
        name, _, parameter = key.partition("__")
        if name not in found:
            raise ValueError(
                f"callbacks__{key} names the callback {name!r}, but the callbacks are "
                f"{sorted(found)}. Name a callback by a pair: "
                f"callbacks=[({name!r}, ...)]."
            )
        if not parameter:
            found[name] = value
            continue
        callback = found[name]
        if not isinstance(callback, Callback):
            raise ValueError(
                f"callbacks__{key} cannot be set: callback {name!r} is {callback!r}."
            )
        callback.set_params(**{parameter: value})
    return list(found.items())


def _callback(entry: object) -> object:
    """The callback of an entry, without the name that it may have."""
    return entry[1] if isinstance(entry, tuple) and len(entry) == 2 else entry


def _named(
    callbacks: Sequence[Entry] | None,
) -> list[tuple[str, object]]:
    """Callbacks under the names that skorch gives them; classes are made instances."""
    made = [_instance(_callback(entry)) for entry in callbacks or []]
    # Where several without a name are of one class, skorch numbers them from 1.
    kinds = [
        "" if isinstance(entry, tuple) else type(one).__name__
        for entry, one in zip(callbacks or [], made, strict=True)
    ]
    found: list[tuple[str, object]] = []
    for place, (entry, callback) in enumerate(zip(callbacks or [], made, strict=True)):
        name = kinds[place]
        if isinstance(entry, tuple):
            name = entry[0]
        elif kinds.count(name) > 1:
            name = f"{name}_{kinds[: place + 1].count(name)}"
        found.append((name, callback))
    return found


def _instance(callback: object) -> object:
    return callback() if isinstance(callback, type) else callback
