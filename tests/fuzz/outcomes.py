"""What may come of an input: an answer, a clear error, or a fault.

An area of the campaign is a function of a `Case`. It draws an input, calls skmtl
through `Case.tried` or `Case.must`, and compares answers that have to be equal.
"""

import re
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import sklearn
from hypothesis.errors import StopTest, UnsatisfiedAssumption

import skmtl

# Errors count as explained if one of these raises them.
_OURS = tuple(str(Path(one.__file__).parent) for one in (skmtl, sklearn))
# What tells a caller that the input is at fault.
_KINDS = (ValueError, TypeError, ImportError, NotImplementedError, MemoryError)

KINDS = ("ok", "clear error", "unexplained", "wrong")


class ClearError(Exception):
    """skmtl or scikit-learn refused the input, and named what is wrong with it."""


class FaultError(Exception):
    """Something that must not happen; `kind` is "unexplained" or "wrong"."""

    def __init__(self, kind, signature, detail=""):
        super().__init__(f"{kind}: {signature}\n{detail}")
        self.kind, self.signature = kind, signature


class Case:
    """One input, as it is drawn.

    Parameters
    ----------
    draw : callable
        Draws from a strategy of hypothesis.
    """

    def __init__(self, draw):
        self.draw, self.quoted, self.arguments, self.notes = draw, set(), set(), []

    def values(self, *names):
        """Add columns and tasks that an error may name, as Python shows them."""
        self.quoted |= {repr(name) for name in names}

    def naming(self, *names):
        """Add arguments and parameters that an error may name."""
        self.arguments |= set(names)

    def note(self, **values):
        """Keep what a reader of a fault needs to know."""
        self.notes += [f"{name} = {value!r:.300}" for name, value in values.items()]

    def tried(self, function, *args, **kwargs):
        """Call what may refuse the input."""
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if self._is_clear(error):
                raise ClearError(str(error)) from error
            raise FaultError("unexplained", _place(error), self._told(error)) from error

    def must(self, why, function, *args, **kwargs):
        """Call what may not fail, since it has worked on an equal input."""
        try:
            return self.tried(function, *args, **kwargs)
        except ClearError as error:
            raise FaultError("wrong", f"refused: {why}", self._told(error)) from error

    def allowed(self, function, *args, **kwargs):
        """Call what may refuse an input beside the one that the case is about."""
        try:
            return self.tried(function, *args, **kwargs)
        except ClearError:
            return None

    def equal(self, why, found, expected, *, tolerance=0.0):
        """Compare two arrays; NaN equals NaN."""
        found, expected = np.asarray(found, float), np.asarray(expected, float)
        same = found.shape == expected.shape and np.allclose(
            found, expected, rtol=tolerance, atol=tolerance, equal_nan=True
        )
        if not same:
            detail = f"{found!r:.300}\n{expected!r:.300}\n" + "\n".join(self.notes)
            raise FaultError("wrong", f"differs: {why}", detail)

    def holds(self, why, condition):
        """Check what has to be true of any answer."""
        if not condition:
            raise FaultError("wrong", f"does not hold: {why}", "\n".join(self.notes))

    def _is_clear(self, error):
        raised_in = traceback.extract_tb(error.__traceback__)[-1].filename
        return (
            isinstance(error, _KINDS)
            and raised_in.startswith(_OURS)
            and self.is_named(str(error))
        )

    def is_named(self, text):
        """Whether a message names a column, task, argument or parameter.

        A column or task has to be shown as Python shows it, behind a word that says
        what it is: "column 'price'", "tasks ['t0', 't1']". An argument that may also be
        a word of the sentence, such as "groups", has to be quoted, or given a value, or
        to begin a sentence or clause.
        """
        for name in self.quoted:
            what = r"\b(columns?|tasks?|features|names|lacks)\b[^.]*"
            if re.search(rf"(?i:{what})(?<!\w){re.escape(name)}(?!\w)", text):
                return True
        for name in self.arguments:
            word = rf"(?<!\w){re.escape(name)}(?!\w)"
            if name in ("X", "y") or "_" in name:
                found = re.search(word, text)
            else:
                quoted = rf"'{re.escape(name)}' (parameter|argument)"
                begins = rf"(^|[.,:;] |\band )({re.escape(name)})(?!\w)"
                found = re.search(rf"{quoted}|{word}=|{begins}", text)
            if found:
                return True
        return False

    def _told(self, error):
        return "\n".join([f"{type(error).__name__}: {error!s:.400}", *self.notes])


def _place(error):
    """Where an error was raised, and the last line of skmtl before that."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [one for one in frames if one.filename.startswith(_OURS[0])]
    at = ours[-1].filename.removeprefix(_OURS[0] + "/") if ours else "?"
    return f"{type(error).__name__} in {at}:{ours[-1].name if ours else '?'}"


def outcome(area, draw):
    """Run one case.

    Returns
    -------
    kind : str
        One of `KINDS`.
    fault : FaultError or None
        Where it is "unexplained" or "wrong".
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            area(Case(draw))
    except ClearError:
        return "clear error", None
    except FaultError as fault:
        return fault.kind, fault
    except (UnsatisfiedAssumption, StopTest):
        raise  # hypothesis's own
    except Exception as error:  # of a call that may not fail, made without `must`
        told = "".join(traceback.format_exception(error)[-3:])
        return "wrong", FaultError("wrong", f"raises: {_place(error)}", told)
    return "ok", None


class Tally:
    """Counts of outcomes, and of faults by their signature."""

    def __init__(self):
        self.kinds, self.faults, self.examples = Counter(), Counter(), {}

    def add(self, kind, fault):
        """Count one outcome."""
        self.kinds[kind] += 1
        if fault is not None:
            self.faults[f"{kind}: {fault.signature}"] += 1
            self.examples.setdefault(f"{kind}: {fault.signature}", str(fault))

    def __str__(self):
        lines = [f"{self.kinds[kind]:>9,} {kind}" for kind in KINDS]
        for signature, n in self.faults.most_common():
            lines += [f"{n:>9,} {signature}", self.examples[signature], ""]
        return "\n".join(lines)
