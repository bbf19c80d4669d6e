"""Optimisers that only pay for the rows that a batch touches; averages; schedules."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl._typing import ColumnName

# A row and its position in the batch are packed into one signed 64-bit integer.
_KEY_BITS = 63

# Moments of parameters that get no gradient any more, such as those of a unit that ReLU
# has silenced, decay to denormal numbers (below 1e-38), with which processors are many
# times slower. So moments below a bound are set to 0 every few steps. Between two
# times, a moment falls by a factor of 1e-6 at most; next to an eps of 1e-8 it would
# move no parameter.
_CLEAR_EVERY = 128
_NEGLIGIBLE = 1e-30

# A group of parameters with its settings, in torch's form.
ParamGroup: TypeAlias = dict[str, Any]

# Private, so later versions of torch may not have it; then `_adam_alone` is used.
_FUSED: Callable[..., None] | None = getattr(torch, "_fused_adamw_", None)


def touched_rows(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of a table that have a gradient, and the gradient of each.

    Parameters
    ----------
    gradient : sparse Tensor of shape (n_rows, width)
        Gradient of a table, a row as often as it was read.

    Returns
    -------
    rows : Tensor of shape (n_touched,), dtype int64
        Ascending.
    values : Tensor of shape (n_touched, width)
        Sums over the reads of each row, in the order of the batch.
    """
    indices, values = gradient._indices()[0], gradient._values()
    n_reads = len(indices)
    bits = max(n_reads - 1, 1).bit_length()
    packable = gradient.shape[0].bit_length() + bits <= _KEY_BITS
    on_cpu = gradient.device.type == "cpu"
    if gradient.is_coalesced() or not on_cpu or not n_reads or not packable:
        gradient = gradient.coalesce()
        return gradient.indices()[0], gradient.values()
    # Keys are sorted by row, then by place, so that a row's reads are summed in the
    # order of the batch.
    # torch's `coalesce` does the same but takes ten times as long: numpy sorts integers
    # with vector instructions, and an embedding bag sums rows with prefetching.
    keys = indices.numpy() << bits
    keys |= np.arange(n_reads)
    keys.sort()
    sorted_rows = keys >> bits
    first = np.ones(n_reads, dtype=bool)
    np.not_equal(sorted_rows[1:], sorted_rows[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    keys &= (1 << bits) - 1
    places = torch.from_numpy(keys)
    sums = F.embedding_bag(places, values, torch.from_numpy(starts), mode="sum")
    return torch.from_numpy(sorted_rows[starts]), sums


def sum_by_row(gradient: Tensor) -> Tensor:
    """The same sparse gradient, with one entry for each row."""
    return _sparse(*touched_rows(gradient), gradient)


def join_rows(gradients: list[Tensor]) -> Tensor:
    """Sum of sparse gradients of one table; it has the entries of all of them."""
    rows = torch.cat([g._indices()[0] for g in gradients])
    return _sparse(rows, torch.cat([g._values() for g in gradients]), gradients[0])


def _sparse(rows: Tensor, values: Tensor, like: Tensor) -> Tensor:
    # Without an explicit choice, torch warns that it does not check the indices.
    return torch.sparse_coo_tensor(
        rows[None], values, like.shape, check_invariants=False
    )


def put_rows(table: Tensor, rows: Tensor, new: Tensor) -> None:
    """Put rows into a table.

    torch copies number by number. numpy copies a row at once, as a single item of its
    void type, in half the time.
    """
    if table.device.type != "cpu" or not table.is_contiguous():
        table.index_copy_(0, rows, new)
        return
    row = f"V{table.shape[1] * table.element_size()}"
    into, source = (one.detach().numpy().view(row)[:, 0] for one in (table, new))
    into[rows.numpy()] = source


class _Optimizer(torch.optim.Optimizer):
    """Torch's optimiser, without the import of its compiler, which takes 0.7 s.

    Torch wraps these methods so that ``torch.compile`` leaves them out, and imports it
    for that at the first call. No step is compiled here, so they need no wrapper.
    """

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)


class LazyAdam(_Optimizer):
    """Adam on what a batch touches: some rows of a table, or the whole of a layer.

    A parameter with a sparse gradient is a table. The moments of a row that a batch
    does not touch are not changed, whereas dense Adam lets them decay and keeps moving
    the row. Bias correction counts all steps, as in ``torch.optim.SparseAdam``; weight
    decay is decoupled, and applies to the rows that are touched. A parameter with a
    dense gradient is updated as by ``torch.optim.AdamW``, at half the cost per call.

    Parameters
    ----------
    params : iterable
        Parameters, or groups of them.
    lr, betas, eps, weight_decay : float
        As in ``torch.optim.AdamW``.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[ParamGroup],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update whatever has a gradient."""
        for group in self.param_groups:
            layers, gradients = [], []
            for p in group["params"]:
                g = p.grad
                if g is None:
                    continue
                if g.is_sparse:
                    self._update_rows(p, group)
                    continue
                if g.stride() != p.stride():
                    # torch's kernel reads both in the order of memory.
                    g = torch.empty_like(p).copy_(g)
                layers.append(p)
                gradients.append(g)
            if layers:
                states = [self._state(p) for p in layers]
                _adam(layers, gradients, states, group)
                # Not read from the states, whose counts of steps may be on a GPU.
                group["n_steps"] = group.get("n_steps", 0) + 1
                if group["n_steps"] % _CLEAR_EVERY == 0:
                    _clear_negligible(states)

    def _update_rows(self, table: Tensor, group: ParamGroup) -> None:
        rows, g = touched_rows(table.grad)  # type: ignore[arg-type]
        step, *moments = self._state(table)
        # The touched rows are copied, updated like a layer, and written back.
        whole = table, *moments
        moved, m, v = (one.index_select(0, rows) for one in whole)
        _adam([moved], [g], [(step, m, v)], group)
        for one, new in zip(whole, (moved, m, v), strict=True):
            put_rows(one, rows, new)

    def _state(self, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Step and moments of a parameter, the step counted."""
        state = self.state[p]
        if not state:
            # A tensor, which torch's kernel requires.
            state["step"] = torch.zeros((), device=p.device)
            state["exp_avg"] = torch.zeros_like(p)
            state["exp_avg_sq"] = torch.zeros_like(p)
        state["step"] += 1
        return state["step"], state["exp_avg"], state["exp_avg_sq"]


def _clear_negligible(states: list[tuple[Tensor, Tensor, Tensor]]) -> None:
    for _, *moments in states:
        for one in moments:
            torch.hardshrink(one, _NEGLIGIBLE, out=one)


def _adam(
    params: list[Tensor],
    gradients: list[Tensor],
    states: list[tuple[Tensor, Tensor, Tensor]],
    group: ParamGroup,
) -> None:
    """Call what AdamW(fused=True) calls: one pass over each parameter."""
    steps, m, v = (list(part) for part in zip(*states, strict=True))
    beta1, beta2 = group["betas"]
    if _FUSED is None:
        for arguments in zip(params, gradients, m, v, steps, strict=True):
            _adam_alone(*arguments, group)
        return
    _FUSED(
        params,
        gradients,
        m,
        v,
        [],  # maxima of second moments, for amsgrad only
        steps,
        lr=group["lr"],
        beta1=beta1,
        beta2=beta2,
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        amsgrad=False,
        maximize=False,
    )


def _adam_alone(
    p: Tensor, g: Tensor, m: Tensor, v: Tensor, step: Tensor, group: ParamGroup
) -> None:
    """Do the same with torch's public functions."""
    (beta1, beta2), lr = group["betas"], group["lr"]
    p.mul_(1 - lr * group["weight_decay"])
    m.lerp_(g, 1 - beta1)
    v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    root = v.div(1 - beta2**step).sqrt_().add_(group["eps"])
    p.addcdiv_(m.div(1 - beta1**step), root, value=-lr)


class RowAdagrad(_Optimizer):
    """Adagrad with one sum for each row of a table, on the rows a batch touches.

    ``s_r += mean(g_r ** 2)`` and ``row_r -= lr * g_r / (sqrt(s_r) + eps)``: a row that
    is seldom seen takes larger steps. It keeps one number for each row, whereas Adam
    keeps two for each number in it.

    Parameters
    ----------
    params : iterable
        Parameters with sparse gradients along their first axis.
    lr, eps, weight_decay : float
        As in ``torch.optim.Adagrad``, with decoupled weight decay of the rows touched.

    References
    ----------
    J. Duchi, E. Hazan and Y. Singer, "Adaptive Subgradient Methods for Online Learning
    and Stochastic Optimization", JMLR 12, 2011; by row as in D. Mudigere et al.,
    "Software-Hardware Co-design for Fast and Scalable Training of Deep Learning
    Recommendation Models", ISCA 2022, section 4.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[ParamGroup],
        lr: float = 1e-2,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the rows that have a gradient."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._update(table, group)

    def _update(self, table: Tensor, group: ParamGroup) -> None:
        rows, g = touched_rows(table.grad)  # type: ignore[arg-type]
        state = self.state[table]
        if not state:
            state["sum"] = table.new_zeros(len(table), 1)
        s = state["sum"].index_select(0, rows) + g.square().mean(dim=1, keepdim=True)
        put_rows(state["sum"], rows, s)
        moved = table.index_select(0, rows)
        moved.mul_(1 - group["lr"] * group["weight_decay"])
        moved.addcdiv_(g, s.sqrt_().add_(group["eps"]), value=-group["lr"])
        put_rows(table, rows, moved)


class JointOptimizer(torch.optim.Optimizer):
    """Several optimisers seen as one: one step, one list of groups, one state.

    Learning rate schedulers, and code that saves the state of an optimiser, reach all
    of them.

    Parameters
    ----------
    parts : list of torch.optim.Optimizer
        The optimisers.
    """

    def __init__(self, parts: list[torch.optim.Optimizer]) -> None:
        # Without `Optimizer.__init__`, which would create its own groups and hooks.
        self.parts = parts
        self.defaults: dict[str, object] = {}

    @property
    def param_groups(self) -> list[ParamGroup]:  # type: ignore[override]
        """Groups of all parts; they are the parts' own."""
        return [group for part in self.parts for group in part.param_groups]

    @property
    def state(self) -> dict[ColumnName, object]:  # type: ignore[override]
        """State of the parameters of all parts."""
        return {p: state for part in self.parts for p, state in part.state.items()}

    def __getstate__(self) -> dict[str, object]:
        # That of the base class has groups and state, but not the parts that hold them.
        return {"parts": self.parts, "defaults": self.defaults}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.parts!r})"

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step with each part."""
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters."""
        for part in self.parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Give the state of each part."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of each part."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)


# Number of steps from one reading of the weights to the next. With many weights, as in
# large tables of ids, weights are read so rarely that at most this many numbers are
# read per step.
_READ_EVERY = 8
_READ_NUMBERS = 2**19


class WeightAverage:
    """Average of parameters over the steps of one training.

    All steps count equally, so the average has no length to tune: it covers the whole
    training, short or long. Weights are read every few steps, and a reading stands for
    the steps since the previous one.

    Parameters
    ----------
    parameters : iterable of Tensor
        The parameters to average. `show` and `hide` change them in place.

    Attributes
    ----------
    n_steps : int
        Steps taken.

    References
    ----------
    B. T. Polyak and A. B. Juditsky, "Acceleration of Stochastic Approximation by
    Averaging", SIAM Journal on Control and Optimization 30, 1992.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.parameters = [p for p in parameters if p.numel()]
        self.means = [p.detach().clone() for p in self.parameters]
        numbers = sum(p.numel() for p in self.parameters)
        self.every = max(_READ_EVERY, numbers // _READ_NUMBERS)
        self.n_steps = self.read_at = 0
        self.shown = False

    def state_dict(self) -> dict[str, Any]:
        """Give the state, for a training that is resumed."""
        return {
            "means": self.means,
            "n_steps": self.n_steps,
            "read_at": self.read_at,
            "shown": self.shown,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of another average of the same parameters."""
        for mine, saved in zip(self.means, state["means"], strict=True):
            mine.copy_(saved)
        self.n_steps, self.read_at = state["n_steps"], state["read_at"]
        self.shown = state["shown"]

    def after_step(self) -> None:
        """Count a step, and read the weights where it is time to."""
        self.n_steps += 1
        if self.n_steps - self.read_at >= self.every:
            self._read()

    def show(self) -> None:
        """Put the average into the parameters."""
        # The steps since the last reading count too.
        if self.n_steps > self.read_at:
            self._read()
        self._swap(shown=True)

    def hide(self) -> None:
        """Put back the weights that training continues from."""
        self._swap(shown=False)

    @torch.no_grad()
    def _read(self) -> None:
        # This reading stands for the steps since the last one, of all n_steps.
        share = 1 - self.read_at / self.n_steps
        torch._foreach_lerp_(self.means, [p.detach() for p in self.parameters], share)
        self.read_at = self.n_steps

    def _swap(self, *, shown: bool) -> None:
        if self.shown == shown:
            return
        # Storage is exchanged instead of numbers, and parameters stay the objects that
        # optimisers know.
        for k, p in enumerate(self.parameters):
            p.data, self.means[k] = self.means[k], p.data
        self.shown = shown


# A name, a name with parameters, or a class or function that makes the optimiser. Names
# can be saved in files.
_Maker: TypeAlias = str | Callable[..., torch.optim.Optimizer]
# A pair has parameters of the optimiser, by name.
MadeBy: TypeAlias = _Maker | tuple[_Maker, dict[str, Any]]
# Optimisers by name, each with what it is called with here.
_NAMED: dict[str, Callable[..., torch.optim.Optimizer]] = {
    # AdamW without decay is Adam; with it, the decay does not pass the moments.
    "adam": LazyAdam,
    "sgd": partial(torch.optim.SGD, momentum=0.9),
}


def _maker(made: MadeBy) -> tuple[Callable[..., torch.optim.Optimizer], bool]:
    """What makes an optimiser, and whether it is one of those with a name."""
    make, own = made if isinstance(made, tuple) else (made, {})
    is_named = isinstance(make, str)
    found = _NAMED[make] if isinstance(make, str) else make
    return (partial(found, **own) if own else found), is_named


def dense_optimizer(
    made: MadeBy,
    params: list[Any],
    lr: float,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """Optimiser of the parameters, or groups of them, that every batch touches."""
    make, is_named = _maker(made)
    if is_named or weight_decay:
        return make(params, lr=lr, weight_decay=weight_decay)
    return make(params, lr=lr)


def with_own_parameters(
    made: str | Callable[..., torch.optim.Optimizer], own: Mapping[str, Any]
) -> MadeBy:
    """Bind parameters of an optimiser, checked.

    Parameters
    ----------
    made : {"adam", "sgd"} or callable
        What makes the optimiser.
    own : mapping
        Its parameters by name.

    Returns
    -------
    str, callable, or tuple of either and dict
        What `dense_optimizer` takes.

    Raises
    ------
    ValueError
        For optimisers that take a closure, parameters that they do not have, and those
        that are hyperparameters of the ranker.
    """
    make = _NAMED[made] if isinstance(made, str) else made
    kind = make.func if isinstance(make, partial) else make
    # LBFGS requires a closure. Nothing is known of what a function makes.
    step = inspect.signature(getattr(kind, "step", lambda closure=None: None))
    if any(p.default is p.empty for n, p in step.parameters.items() if n == "closure"):
        raise ValueError(
            f"optimizer={_name(kind)} evaluates the loss several times in a step, "
            "which training on batches does not do. Use a first-order optimiser, "
            "such as torch.optim.AdamW."
        )
    accepted = inspect.signature(kind).parameters
    known = [name for name in accepted if name not in ("params", "self")]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    # None removes a parameter that another optimiser took.
    own = {n: v for n, v in own.items() if v is not None or n in known or open_ended}
    for name in own:
        if name in ("lr", "weight_decay"):
            of_ranker = {"lr": "learning_rate"}.get(name, name)
            raise ValueError(
                f"optimizer__{name} cannot be set: use {of_ranker}, which applies to "
                "all optimisers of a ranker."
            )
        if name not in known and not open_ended:
            raise ValueError(
                f"optimizer__{name} is not a parameter of {_name(kind)}, which takes "
                f"{sorted(set(known) - {'lr', 'weight_decay'})}. Remove it with "
                f"set_params(optimizer__{name}=None)."
            )
    return (made, dict(own)) if own else made


def _name(made: object) -> str:
    return getattr(made, "__name__", repr(made))


def table_optimizer(
    name: str, params: list[nn.Parameter], lr: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Optimiser of the table of ids."""
    if name == "adagrad":
        return RowAdagrad(params, lr, weight_decay=weight_decay)
    # Lazy where the gradients of tables are sparse.
    return dense_optimizer("adam", params, lr, weight_decay)


def replace_parameter(
    optimizer: torch.optim.Optimizer,
    old: Tensor,
    new: Tensor,
    rows: Tensor,
    fresh: Tensor,
) -> None:
    """Replace a table by one with more rows, and keep the state of its rows.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Changed in place; one that does not train `old` stays as it is.
    old, new : Tensor with n_before and n_rows rows
        The tables.
    rows : Tensor of shape (n_rows,), dtype int64
        For each row of `new`, the row of `old` it started with.
    fresh : Tensor of shape (n_rows,), dtype bool
        Rows that begin without moments.
    """
    for group in optimizer.param_groups:
        group["params"] = [new if p is old else p for p in group["params"]]
    state = optimizer.state.pop(old, None)
    if state is None:
        return
    for name, value in state.items():
        # Moments and sums have a row for each row of the table; the count of steps is
        # kept.
        if torch.is_tensor(value) and value.shape[:1] == old.shape[:1]:
            value = value[rows.to(value.device)]
            value[fresh.to(value.device)] = 0
        optimizer.state[new][name] = value


def schedule(
    optimizer: torch.optim.Optimizer, name: str | Callable[[float], float], steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Vary the learning rate over `steps` steps of training."""
    if callable(name):
        factor = name
    elif name == "cosine":
        factor = _cosine
    elif name == "linear":
        factor = _linear
    else:
        factor = _constant
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: float(factor(min(step / steps, 1.0)))
    )


def _constant(progress: float) -> float:
    return 1.0


def _linear(progress: float) -> float:
    return 1.0 - progress


def _cosine(progress: float) -> float:
    return 0.5 + 0.5 * float(torch.cos(torch.tensor(progress * torch.pi)))
