"""Training that survives its process: the state of a fit in a file, and back."""

from __future__ import annotations

import copy
import hashlib
import io
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, time
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer
from torch import Tensor

from skmtl._files import remove_parts, write_whole
from skmtl._messages import shown
from skmtl._warnings import warn
from skmtl.modules import Bags, Ragged
from skmtl.modules.draws import generator_states, set_generator_states
from skmtl.training.batches import EpochPass, RowTable
from skmtl.training.fingerprint import difference, digest_of, settings_of

_FORMAT = b"skmtl checkpoint 1\n"
_LAST, _PREVIOUS = "last.checkpoint", "previous.checkpoint"
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


class Checkpoint(Callback):
    """Save the state of a fit while it runs, so that a killed fit can be resumed.

    Pass it to a ranker among its `callbacks`. If the process dies, start the same
    script again: the fit continues after the last saved step, and the result is
    bit-identical to that of a fit that was never interrupted. A completed fit removes
    its files.

    Parameters
    ----------
    path : str or path-like
        A folder for this fit only, created if necessary.
    every : str, default="epoch"
        "epoch" to save after each epoch, or the shortest time between two saves, such
        as "10min", "30s" or "2h": then the first step that ends later is saved, even in
        the middle of an epoch.

    Notes
    -----
    A file holds the network, the optimisers, the loss weighting, the average of the
    weights, the schedule, the generator of random numbers, the history, the batch and
    the sums of the epoch so far, and the state of callbacks: attributes whose names end
    in an underscore, as is skorch's convention. It holds no code, and reading it runs
    none. It is written to a new file that is then renamed, so that a crash leaves a
    complete file. The previous file is kept too.

    Only the same fit can use a file: hyperparameters, tables, labels, weights, versions
    of skmtl and torch, and the start must be equal. Otherwise an error names what
    differs. `random_state` must be an integer, so that the fit can be repeated. Objects
    among the hyperparameters are compared by their content. Functions are compared by
    their own code, not by that of functions that they call, and classes by their names.
    Of `callbacks`, skorch's `EarlyStopping`, `GradientNormClipping`, `LRScheduler` and
    `ParamMapper` with its subclasses `Freezer`, `Unfreezer` and `Initializer` are
    compared; the others may differ.

    The end of the last epoch, which ends the fit, is not saved, nor are attributes of
    your own callbacks under other names. A fit accepts one `Checkpoint`.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from skmtl import Checkpoint, ShareBottom
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 4))
    >>> y = np.column_stack([X[:, 0] > 0, X[:, 1] > 1]).astype(int)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint = Checkpoint(folder, every="10min")
    ...     ranker = ShareBottom(callbacks=[checkpoint], random_state=0).fit(X, y)
    """

    def __init__(self, path: str | os.PathLike[str], *, every: str = "epoch") -> None:
        self.path = path
        self.every = every

    def initialize(self) -> Checkpoint:
        """Check the arguments.

        Returns
        -------
        self : Checkpoint
            The callback.

        Raises
        ------
        ValueError
            For an `every` that is not a time.
        """
        self.seconds = _seconds(self.every)
        return self

    def begin(self, ranker: BaseEstimator) -> None:
        """Read the hyperparameters of the fit that starts.

        Parameters
        ----------
        ranker : MultiTaskRanker
            The ranker.

        Raises
        ------
        ValueError
            If `random_state` is not an integer, and for hyperparameters whose content
            cannot be compared.
        """
        if not isinstance(ranker.random_state, int | np.integer):
            raise ValueError(
                "Checkpoint needs random_state to be an integer, so that a fit can be "
                f"repeated after a crash; found {ranker.random_state!r}."
            )
        self.settings = settings_of(ranker)

    def resume(self, net: NeuralNet, table: RowTable, valid: RowTable | None) -> int:
        """Restore the saved state of the same fit, once all callbacks have begun.

        Parameters
        ----------
        net : MultiTaskNet
            The net, about to train.
        table : RowTable
            Rows of training.
        valid : RowTable or None
            Rows of validation.

        Returns
        -------
        int
            Number of complete epochs.

        Raises
        ------
        ValueError
            If the saved state is of another fit; the message names the difference.
        """
        self.saved_at, self.within = monotonic(), None
        self.is_damaged = False  # a damaged last file must not replace the previous one
        self.is_readable = False  # whether a saved state can be read, checked once
        self.begun = len(net.history)
        self.fingerprint = {
            **self.settings,
            "table": digest_of(table),
            "validation table": digest_of(valid),
            "network at the start": digest_of(net.module_.state_dict()),
            "torch": str(torch.__version__),
            "skmtl": sys.modules["skmtl"].__version__,
        }
        state = self._read()
        net.processes_.check_same(
            {"the checkpoint": state and state["time"]},
            f"All of them read it from {self.path}, where the first one writes it: "
            "use a folder that they share.",
        )
        if state is None:
            return 0
        self._check(state["fingerprint"])
        try:
            _restore(net, state)
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as e:
            raise ValueError(
                f"The checkpoint in {self.path} says that it is of this fit, but does "
                f"not fit its network or callbacks: {e}. Remove it to train from the "
                "start."
            ) from e
        if state["pass"] is not None:
            self.within = state
            del net.history[-1]  # the epoch is about to begin again
        return len(net.history) - self.begun

    def on_epoch_begin(self, net: NeuralNet, **_: object) -> None:
        """Continue in the middle of an epoch if it was saved there.

        Parameters
        ----------
        net : MultiTaskNet
            The net, about to train for an epoch.
        **_ : object
            What skorch passes beside it.
        """
        if self.within is not None:
            # Restored again, since all other callbacks have just begun the epoch.
            _restore(net, self.within)
            self.within = None

    def on_batch_end(self, net: NeuralNet, training: bool = False, **_: object) -> None:
        """Save if it is time to.

        Parameters
        ----------
        net : MultiTaskNet
            The net that trains.
        training : bool
            Whether this was a training step.
        **_ : object
            What skorch passes beside it.
        """
        # 0 seconds is every="epoch", which never saves within an epoch.
        if training and self.seconds and monotonic() - self.saved_at >= self.seconds:
            self._save(net)

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        """Save if it is time to and epochs are left.

        Parameters
        ----------
        net : MultiTaskNet
            The net that trains.
        **_ : object
            What skorch passes beside it.
        """
        last = len(net.history) - self.begun >= net.max_epochs
        if not last and monotonic() - self.saved_at >= self.seconds:
            self._save(net)

    def _save(self, net: Any) -> None:
        # All processes have the same state; one of them writes it.
        if not net.processes_.is_first:
            return
        parts = _to_bytes({"fingerprint": self.fingerprint, **_state_of(net)})
        if not self.is_readable:
            _check_readable(parts[-1])
            self.is_readable = True
        folder = Path(self.path)
        folder.mkdir(parents=True, exist_ok=True)
        # Renamed before the new file is there, so that at any time one of the two names
        # has a complete file.
        if (folder / _LAST).exists() and not self.is_damaged:
            os.replace(folder / _LAST, folder / _PREVIOUS)
        write_whole(folder / _LAST, *parts)
        self.is_damaged = False
        self.saved_at = monotonic()

    def remove(self) -> None:
        """Remove the files of a completed fit."""
        for name in (_PREVIOUS, _LAST):  # a crash in between leaves the last file
            (Path(self.path) / name).unlink(missing_ok=True)
        remove_parts(Path(self.path) / _LAST)

    def _read(self) -> dict[str, Any] | None:
        files = [Path(self.path) / name for name in (_LAST, _PREVIOUS)]
        there = [file for file in files if file.is_file()]
        for file in there:
            state = _from_bytes(file.read_bytes())
            if state is None:
                continue
            if file != there[0]:
                self.is_damaged = True
                warn(
                    f"The checkpoint {there[0]} is damaged. {file}, which was saved "
                    "before it, is used."
                )
            return state
        if there:
            raise ValueError(
                f"No checkpoint in {self.path} can be read: {[str(f) for f in there]} "
                "are damaged or of another format. Remove them to train from the start."
            )
        return None

    def _check(self, saved: Mapping[str, Any]) -> None:
        now = self.fingerprint
        differ = [k for k in {**saved, **now} if saved.get(k) != now.get(k)]
        if not differ:
            return
        details = "; ".join(
            f"{k} {difference(saved.get(k), now.get(k))}" for k in differ
        )
        raise ValueError(
            f"The checkpoint in {self.path} is of another fit: {details}. Restore what "
            "differs, or give this fit another path."
        )


def _seconds(every: str) -> float:
    if every == "epoch":
        return 0.0
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h)", str(every))
    if found is None:
        raise ValueError(
            f"every={shown(every)} of Checkpoint must be 'epoch' or a time such as "
            "'30s', '10min' or '2h'."
        )
    return float(found[1]) * _UNITS[found[2]]


def _state_of(net: NeuralNet) -> dict[str, Any]:
    """Collect everything that the rest of training depends on."""
    average, epoch = net.average_, net.pass_
    on_cpu, on_gpu = generator_states(net.device)
    return {
        "module": net.module_.state_dict(),
        "criterion": net.criterion_.state_dict(),
        "optimizer": net.optimizer_.state_dict(),
        "schedules": [one.last_epoch for one in net.schedules_],
        "average": None if average is None else average.state_dict(),
        "generator": on_cpu,
        "gpu": on_gpu,
        "frozen": [n for n, p in net.module_.named_parameters() if not p.requires_grad],
        "history": _history(net.history),
        "pass": None if epoch is None else _plain(epoch.state_dict()),
        "time": time(),
        "callbacks": [_known_to(callback) for _, callback in net.callbacks_],
    }


def _known_to(callback: Callback) -> tuple[str, dict[str, Any]]:
    """Return the class of a callback and its state, by skorch's naming convention."""
    known = {
        name: _plain(value)
        for name, value in vars(callback).items()
        if _is_learnt(name) and _is_plain(value)
    }
    return type(callback).__name__, known


def _is_learnt(name: str) -> bool:
    """Whether an attribute of a callback is one that training sets."""
    return name.endswith("_") and not name.startswith("_")


def _history(history: Any) -> list[Any]:
    """Return the epochs, and records of batches for the last one only."""
    batches = [[] for _ in history[:-1]] + [history[-1]["batches"]]
    return [
        {k: _plain(v) for k, v in {**epoch, "batches": own}.items() if _is_plain(v)}
        for epoch, own in zip(history, batches, strict=True)
    ]


def _restore(net: NeuralNet, state: Mapping[str, Any]) -> None:
    net.module_.load_state_dict(state["module"])
    net.criterion_.load_state_dict(state["criterion"])
    net.optimizer_.load_state_dict(state["optimizer"])
    # The learning rates themselves are in the groups of the optimisers.
    for one, position in zip(net.schedules_, state["schedules"], strict=True):
        one.last_epoch = position
    if net.average_ is not None:
        net.average_.load_state_dict(state["average"])
    set_generator_states(net.device, (state["generator"], state["gpu"]))
    if not all(isinstance(epoch, dict) for epoch in state["history"]):
        raise TypeError("its history is not a list of epochs")
    net.history[:] = state["history"]
    net.pass_ = None
    if state["pass"] is not None:
        net.pass_ = EpochPass()
        net.pass_.load_state_dict(state["pass"])
    # Callbacks such as skorch's Freezer set this flag, which no state_dict holds.
    for name, p in net.module_.named_parameters():
        p.requires_grad_(name not in state["frozen"])
    _restore_callbacks(net, state["callbacks"])
    for _, callback in net.callbacks_:
        if isinstance(callback, EpochTimer) and callback.epoch_start_time_ is not None:
            # The epoch began in another process; the time between is not counted.
            callback.epoch_start_time_ += time() - state["time"]


def _restore_callbacks(net: NeuralNet, known: list[tuple[str, dict[str, Any]]]) -> None:
    left = list(known)
    for _, callback in net.callbacks_:
        kind = type(callback).__name__
        # A new callback, such as a progress bar, has no saved state.
        at = next((k for k, (one, _) in enumerate(left) if one == kind), None)
        for name, value in ({} if at is None else left.pop(at)[1]).items():
            own = vars(callback).get(name)
            if not _is_learnt(name) or hasattr(type(callback), name):
                continue  # only possible in a forged file
            if isinstance(own, torch.optim.lr_scheduler.LRScheduler):
                own.load_state_dict(value)
            else:
                setattr(callback, name, _from_plain(value))


_SCALARS = (type(None), bool, int, float, str)


def _is_plain(value: object) -> bool:
    """Whether a value can be saved without code."""
    if isinstance(value, Mapping):
        return all(isinstance(k, str | int) for k in value) and all(
            map(_is_plain, value.values())
        )
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, torch.optim.lr_scheduler.LRScheduler):
        return _is_plain(value.state_dict())
    return isinstance(value, (*_SCALARS, np.generic, Tensor, np.ndarray, Bags))


def _plain(value: object) -> Any:
    """Convert to nested numbers, strings and tensors; `_from_plain` reverses it."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, tuple):
        return tuple(_plain(v) for v in value)
    if isinstance(value, Tensor):
        return value.detach().clone()  # a view would be saved with its whole storage
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"__array__": torch.from_numpy(value.copy())}
    if isinstance(value, Bags):
        return {"__bags__": [[c.values, c.offsets] for c in value]}
    if isinstance(value, torch.optim.lr_scheduler.LRScheduler):
        return _plain(value.state_dict())
    return value


def _from_plain(value: object) -> Any:
    if isinstance(value, Mapping):
        if "__array__" in value:
            return value["__array__"].numpy()
        if "__bags__" in value:
            return Bags(Ragged(*column) for column in value["__bags__"])
        return {k: _from_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_from_plain(v) for v in value)
    return value


def _to_bytes(state: Mapping[str, Any]) -> tuple[bytes, memoryview]:
    """Return format and checksum, and what torch writes, without a further copy."""
    buffer = io.BytesIO()
    torch.save(_without_numpy(state), buffer)
    data = buffer.getbuffer()
    return _FORMAT + hashlib.blake2b(data).hexdigest().encode() + b"\n", data


def _without_numpy(value: Any) -> Any:
    """Replace numpy's numbers by Python's, since torch refuses to read the former."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        changed: Any = copy.copy(value)  # keeps the version that torch adds to a state
        for key, one in value.items():
            changed[key] = _without_numpy(one)
        return changed
    if type(value) in (list, tuple):
        return type(value)(map(_without_numpy, value))
    return value


def _check_readable(data: memoryview) -> None:
    """Raise for a state that could be written but not read."""
    try:
        # On the meta device, which does not load the numbers of tensors.
        torch.load(io.BytesIO(data), weights_only=True, map_location="meta")
    except Exception as error:
        raise ValueError(
            "Checkpoint cannot save this fit: its optimiser, loss weighting or network "
            f"has a state of other things than numbers, text and tensors: {error}"
        ) from error


# The entries that a file must have; forged files may lack some.
_PARTS: dict[str, type | tuple[type, ...]] = {
    "fingerprint": dict,
    "module": dict,
    "criterion": dict,
    "optimizer": dict,
    "schedules": list,
    "average": (dict, type(None)),
    "generator": Tensor,
    "gpu": (Tensor, type(None)),
    "frozen": list,
    "history": list,
    "pass": (dict, type(None)),
    "time": float,
    "callbacks": list,
}


def _from_bytes(content: bytes) -> dict[str, Any] | None:
    """The state; None for a file that is damaged or of another format."""
    if not content.startswith(_FORMAT):
        return None
    checksum, _, data = content[len(_FORMAT) :].partition(b"\n")
    if hashlib.blake2b(data).hexdigest().encode() != checksum:
        return None
    try:
        state = torch.load(io.BytesIO(data), weights_only=True)
    except MemoryError:
        raise
    except Exception:  # a forged file can make torch or pickle raise anything
        return None
    whole = isinstance(state, dict) and all(
        isinstance(state.get(name, ...), kind) for name, kind in _PARTS.items()
    )
    return state if whole else None
