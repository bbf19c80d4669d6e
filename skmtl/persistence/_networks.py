"""Networks and optimisers: tensors in the file, objects rebuilt by constructors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NotRequired, Protocol, TypedDict

import numpy as np

from skmtl.persistence._container import RefusedError
from skmtl.persistence._values import Node, Reader, Writer

if TYPE_CHECKING:
    import torch
    from torch import nn

    from skmtl.embedders import GraphSAGEEmbedder
    from skmtl.rankers import MultiTaskRanker
    from skmtl.training.net import MultiTaskNet
    from skmtl.weighting import LossWeighting

# Arguments of the constructor of a ranker's net, besides the network and criterion.
_SETTINGS = (
    "lr", "learning_rate_schedule", "weight_decay", "dense_optimizer",
    "embedding_optimizer", "average_weights", "record_gradients", "max_epochs",
    "batch_size", "n_threads",
)  # fmt: skip


class RankerState(TypedDict):
    """State of a ranker's net in a file."""

    settings: dict[str, Node]
    tensors: Node
    weighting: Node
    history: Node
    optimizers: NotRequired[list[Node]]


class GraphState(TypedDict):
    """State of the network of a `GraphSAGEEmbedder` in a file."""

    tensors: Node


class Network(Protocol):
    """A network that can be written to a file."""

    def write(self, writer: Writer, where: str) -> Node: ...


class NoTrainingState:
    """Stand-in for optimisers that a file does not hold."""

    @property
    def parts(self) -> list[torch.optim.Optimizer]:
        raise ValueError(
            "This ranker was saved with include_training_state=False, so partial_fit "
            "and warm_start cannot continue its training. Save it with "
            "include_training_state=True, or fit again with warm_start=False."
        )


def take_network(estimator: Any, fitted: dict[str, Any]) -> Network | None:
    """Take the network out of fitted attributes; return None if there is none."""
    if "net_" in fitted:
        return RankerNetwork(estimator, fitted.pop("net_"))
    if "_net" in fitted:
        return GraphNetwork(estimator, fitted.pop("_net"))
    return None


def restore_network(estimator: Any, reader: Reader, state: Any) -> None:
    """Put the network of a file into an estimator that is otherwise complete."""
    kind = RankerNetwork if "settings" in state else GraphNetwork
    kind.restore(estimator, reader, state)


class RankerNetwork:
    """The net of a ranker."""

    def __init__(self, ranker: MultiTaskRanker, net: MultiTaskNet) -> None:
        self.ranker, self.net = ranker, net

    def write(self, writer: Writer, where: str) -> Node:
        net, module = self.net, self.net.module_
        # The file holds no classes of modules: `load` makes the network from
        # hyperparameters, which must describe the trained one.
        if _outline(module) != _outline(_module(self.ranker)):
            raise ValueError(
                f"The hyperparameters of {where} were changed after fit, and describe "
                "another network than the one that was trained. Set them back, or fit "
                "again."
            )
        settings = {name: getattr(net, name) for name in _SETTINGS}
        state: dict[str, Node] = {
            "settings": {
                k: writer.write(v, f"{where}.{k}") for k, v in settings.items()
            },
            "tensors": _write_tensors(writer, module.state_dict(), where),
            "weighting": writer.write(
                net.criterion_.weighting, f"the loss weighting of {where}"
            ),
            "history": writer.write(list(net.history), f"the history of {where}"),
        }
        known = not isinstance(net.optimizer_, NoTrainingState)
        if writer.training_state and known:
            state["optimizers"] = [
                _write_tensors(writer, one.state_dict(), where)
                for one in net.all_optimizers
            ]
        return state

    @staticmethod
    def restore(ranker: MultiTaskRanker, reader: Reader, state: RankerState) -> None:
        from skmtl.training.computing import without_index
        from skmtl.training.net import MultiTaskNet

        # Before the network is made, which is put on this device.
        if reader.device is not None:
            ranker.device = reader.device
        _check_device(ranker.device)
        module = _module(ranker)
        module.load_state_dict(_read_tensors(reader, state["tensors"]))
        settings = {k: reader.read(v) for k, v in state["settings"].items()}
        net = MultiTaskNet(
            module,
            criterion__weighting=reader.read(state["weighting"]),
            criterion__losses=ranker._losses(
                ranker._kinds, ranker.label_weight_.tolist()
            ),
            train_split=None,
            device=without_index(ranker.device),
            verbose=0,
            **settings,
        ).initialize()
        net.callbacks_ = []
        net.history.extend(reader.read(state["history"]))
        net.module_.eval()
        if "optimizers" in state:
            for one, saved in zip(net.all_optimizers, state["optimizers"], strict=True):
                _restore_optimizer(one, _read_tensors(reader, saved))
        else:
            net.optimizer_ = NoTrainingState()
        ranker.net_ = net


class GraphNetwork:
    """The network of a `GraphSAGEEmbedder`."""

    def __init__(self, embedder: GraphSAGEEmbedder, net: nn.Module) -> None:
        self.embedder, self.net = embedder, net

    def write(self, writer: Writer, where: str) -> Node:
        return {"tensors": _write_tensors(writer, self.net.state_dict(), where)}

    @staticmethod
    def restore(embedder: GraphSAGEEmbedder, reader: Reader, state: GraphState) -> None:
        from skmtl.embedders._sage_net import make_net

        encoder = embedder._encoder
        net = make_net(
            width=embedder.embedding_dim,
            vocabulary_sizes=[
                len(embedder._vocabulary), *getattr(encoder, "vocabulary_sizes_", [])
            ],
            bin_sizes=getattr(encoder, "bin_sizes_", []),
            n_numeric=len(getattr(encoder, "numeric_names_", [])),
            n_layers=len(list(embedder.n_neighbors)),
        )  # fmt: skip
        net.load_state_dict(_read_tensors(reader, state["tensors"]))
        embedder._net = net.eval()


def write_strategy(writer: Writer, strategy: LossWeighting, where: str) -> Node:
    """Write what a loss weighting holds besides its hyperparameters."""
    # Once started it has the names of its tasks; everything else is in its state.
    started = {"tasks": strategy.tasks} if "tasks" in vars(strategy) else {}
    return [
        _write_tensors(writer, one, where) for one in (started, strategy.state_dict())
    ]


def restore_strategy(
    strategy: LossWeighting, reader: Reader, state: tuple[Node, Node]
) -> None:
    """Restore the state of a loss weighting."""
    plain, tensors = (_read_tensors(reader, one) for one in state)
    if "tasks" in plain:
        strategy.start(plain["tasks"])
    strategy.load_state_dict(tensors)


def _module(ranker: MultiTaskRanker) -> nn.Module:
    """Make the network that a ranker's hyperparameters and encoder describe.

    Its parameters are uninitialized memory.
    """
    import torch

    from skmtl.rankers._pretrained import PretrainedTables

    # All ids with a vector have rows already, so this does not change the encoder.
    encoder = copy.copy(ranker.encoder_)
    pretrained = PretrainedTables(ranker.embeddings)
    pretrained.add_to(encoder)
    names = [str(name) for name in ranker.task_names_]
    # Networks of users may draw in ways that `without_start` does not skip.
    with without_start(), torch.random.fork_rng(devices=[]):
        return ranker._make_net(encoder, names, ranker._kinds, pretrained)


def without_start() -> AbstractContextManager[object]:
    """Skip the random initialization of parameters, without touching the generator."""
    from torch.overrides import TorchFunctionMode

    class Unset(TorchFunctionMode):
        def __torch_function__(
            self,
            func: Callable[..., object],
            types: Sequence[type],
            args: tuple[object, ...] = (),
            kwargs: dict[str, object] | None = None,
        ) -> object:
            if func.__name__ in ("normal_", "uniform_", "kaiming_uniform_"):
                return args[0] if args else (kwargs or {})["tensor"]
            return func(*args, **(kwargs or {}))

    return Unset()


def _check_device(device: str) -> None:
    from skmtl.training.computing import check_device

    try:
        check_device(device)
    except (ValueError, RuntimeError) as error:
        raise RefusedError(
            f"The ranker cannot predict on device={device!r} here. Choose another: "
            "load(path, device='cpu')."
        ) from error


def _outline(module: nn.Module) -> list[list[tuple[object, ...]]]:
    """Describe a network by its classes, plain attributes and shapes."""
    parts: list[tuple[object, ...]] = [
        (name, type(part).__name__, sorted(_plain_attributes(part).items()))
        for name, part in module.named_modules()
    ]
    return [parts, [(name, t.shape) for name, t in module.state_dict().items()]]


def _plain_attributes(part: nn.Module) -> dict[str, str]:
    from skmtl.training.starts import plain_text

    return {
        # Numbers of numpy, such as those of a search, are equal to those of Python.
        name: plain_text(value) or repr(value)
        for name, value in vars(part).items()
        if not name.startswith("_")
        and name != "training"
        and " at 0x" not in repr(value)  # the address of an object changes
    }


def _write_tensors(writer: Writer, value: object, where: str) -> Node:
    return writer.write(_mapped(value, as_array), where)


def _read_tensors(reader: Reader, node: Node) -> Any:
    return _mapped(reader.read(node), as_tensor)


def _mapped(value: Any, change: Callable[[object], object]) -> Any:
    """Apply `change` to the leaves of nested dicts, lists and tuples."""
    if isinstance(value, dict):
        return {key: _mapped(one, change) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_mapped(one, change) for one in value)
    return change(value)


def as_array(value: object) -> object:
    import torch

    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value


def as_tensor(value: object) -> object:
    import torch

    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def _restore_optimizer(
    optimizer: torch.optim.Optimizer, saved: dict[str, object]
) -> None:
    optimizer.load_state_dict(saved)
    # torch does not move the counts of steps to the device.
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if hasattr(value, "to"):
                state[name] = value.to(parameter.device)
