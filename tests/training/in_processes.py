"""Fits of every kind in the processes that torchrun starts, and in one process.

    torchrun --nproc-per-node 2 -m tests.training.in_processes FOLDER

Each process writes what its fits came to into the folder.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import threading
import time
import warnings
from datetime import timedelta
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import polars as pl
import torch
import torch.distributed as dist
from skorch.callbacks import Callback
from torch import nn

from skmtl import Checkpoint, MMoE, MultiTaskRanker
from skmtl.datasets import make_funnel
from skmtl.distributed import fit_on_ray
from skmtl.modules import ModuleBottom
from skmtl.training import piles
from skmtl.weighting import MGDA, get_strategy_names
from tests.rankers.conftest import make_impressions
from tests.rankers.makers import MAKERS

# Of a prime number of rows, so that last batches do not divide.
X, Y = make_impressions(431, n_tasks=3)
OWN = {"batch_size": 200, "max_iter": 2, "embedding_dim": 4}
RNG = np.random.default_rng(0)
PARTLY = Y.mask(RNG.random(Y.shape) < 0.3)
WEIGHT = RNG.uniform(0.5, 2, len(X))
LOG = make_funnel(5000, history_length=3, random_state=0)


def small(name="MMoE", **params):
    return MAKERS[name](**{**OWN, **params})


def fitted(*args, **params):
    return small(*args, **params).fit(X, Y)


def weighted():
    ranker = small("AITM", label_weight="1:2", max_iter=4, optimizer="sgd")
    return ranker.fit(X, PARTLY, sample_weight=WEIGHT)


def connected():
    return fitted("ChainedMMoE", loss_weight="mgda", record_gradients=True)


def warm():
    ranker = small(scoring="mean_auc", max_iter=3, warm_start=True)
    for _ in range(2):
        ranker.fit(X, Y, X_val=X[:90], y_val=Y[:90])
    return ranker


def in_parts():
    ranker = small(dropout=0.1)
    for rows in np.array_split(np.arange(len(X)), 2):
        ranker.partial_fit(X.iloc[rows], Y.iloc[rows])
    return ranker


def in_four():
    return fitted("AITM", loss_weight="mgda", dropout=0.1, n_microbatches=4)


def of_kinds():
    ranker = small(task_kinds={"cart": "regression"})
    return ranker.fit(X, Y.assign(cart=WEIGHT))


def query(rows=slice(None)):
    return pl.from_pandas(pd.concat([X, Y], axis=1)[rows]).lazy()


def on_source(source=None, X_val=None, **params):
    source = query() if source is None else source
    return small(**params).fit(source, y=list(Y), X_val=X_val)


def on_piles(X_val=None, **params):
    """Rows in several piles, and others for validation."""
    with mock.patch.object(piles, "PILE_BYTES", 2**12):
        ranker = small("ShareBottom", dropout=0.1, early_stopping=True, **params)
        return ranker.fit(query(), y=list(Y), X_val=X_val)


def large(**params):
    """Batches that one process takes in blocks, and lists of ids."""
    sizes = {"batch_size": 4500, "expert_units": (8, 4), "n_experts": 2}
    random = {"dropout": 0.1, "gate_dropout": 0.1, "random_state": 0}
    return MMoE(max_iter=1, **sizes, **random, **params).fit(LOG.data, LOG.target)


def paired(pooling):
    """The items of a history are compared with that of the row."""
    return {"pooling": pooling, "share_embedding": {"history": "item_id"}}


def mgda(at):
    return MGDA(at=at, normalization="none")


# For each name what fits a ranker.
FITS = {
    **{name: partial(fitted, name, dropout=0.1) for name in MAKERS},
    **{
        name: partial(fitted, loss_weight=name, dropout=0.1)
        for name in get_strategy_names()
    },
    **{
        at: partial(fitted, loss_weight=mgda(at))
        for at in ("last_shared_layer", "shared_parameters")
    },
    **{
        name: partial(fitted, "ShareBottom", embedding_optimizer=name)
        for name in ("adam", "adagrad")
    },
    "gates": partial(fitted, expert_units=(8, 8), gate_dropout=0.2),
    "no average": partial(fitted, average_weights=False),
    "early stopping": partial(fitted, early_stopping=True, max_iter=5),
    "connected towers": connected,
    "weights": weighted,
    "warm start": warm,
    "partial fit": in_parts,
    "kinds": of_kinds,
    "source": on_source,
    "piles": on_piles,
    "validation piles": lambda: on_piles(query(slice(90)), max_iter=4),
    "large": partial(large, record_gradients=True),
    "large famo": partial(large, loss_weight="famo", crosses="fm", **paired("din")),
    "large gradnorm": partial(
        large, loss_weight="gradnorm", crosses="dcn", **paired("transformer")
    ),
}


def outcome(ranker):
    """Numbers that a fit comes to."""
    rows = X if "user" in ranker.feature_names_in_ else LOG.data[:500]
    history = ranker.history_.drop(columns=["epoch", "task"]).to_numpy(float)
    return {
        "levels": ranker._levels(rows),
        "intercept": ranker.intercept_,
        "loss_weight": ranker.loss_weight_,
        "history": history,
    }


def all_outcomes():
    """For each fit its numbers, under the name of the fit and theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            f"{name}/{key}": value
            for name, fit in FITS.items()
            for key, value in outcome(fit()).items()
        }


class Folders(Callback):
    """How many folders of piles there are."""

    def __init__(self, scratch):
        self.scratch = scratch

    def on_train_begin(self, net, **_):
        self.found = len(list(self.scratch.iterdir()))


def in_scratch(scratch):
    """A fit that has its piles in a folder, and how many folders these are."""
    scratch.mkdir(exist_ok=True)
    folders = Folders(scratch)
    fitted = outcome(on_piles(scratch_dir=scratch, callbacks=[folders]))
    return {**fitted, "n_folders": folders.found}


class Sleeps(Callback):
    """One process does not answer in time."""

    def on_epoch_end(self, net, **_):
        if dist.get_rank() and len(net.history) == 2:
            time.sleep(7)


class Dies(Callback):
    """One process ends in the middle of a fit."""

    def on_epoch_end(self, net, **_):
        if dist.get_rank():
            os._exit(0)


def own_bottom(width, n_tasks, layer):
    bottom = nn.Sequential(nn.Linear(width, 8), layer)
    return ModuleBottom(module=bottom, n_tasks=n_tasks, width=width)


def with_layer(layer):
    return MultiTaskRanker(sharing=own_bottom, sharing__layer=layer, random_state=0)


class Drops(nn.Module):
    def forward(self, x):
        return nn.functional.dropout(x, 0.2, self.training)


class Attends(nn.Module):
    """Attention of a row to itself, in layers of torch."""

    def __init__(self, dropout):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)  # the same weights in every process
            self.layer = nn.MultiheadAttention(8, 2, dropout=dropout, batch_first=True)

    def forward(self, x):
        x = x.unsqueeze(1)
        return self.layer(x, x, x)[0].squeeze(1)


class Noise(nn.Module):
    """Draws the same for all rows."""

    def forward(self, x):
        return x + 0.01 * torch.randn(x.shape[-1]) if self.training else x


class Unreadable:
    """A schedule whose content cannot be compared."""

    def __init__(self):
        self.lock = threading.Lock()

    def __call__(self, progress):
        return 1.0


def own_activation(width, n_tasks, act):
    layer = {"relu": nn.ReLU, "tanh": nn.Tanh}[act]()
    return own_bottom(width, n_tasks, layer)


def stops(groups=None, **params):
    return small(early_stopping=True, max_iter=4, **params).fit(X, Y, groups=groups)


def by_parts(rank):
    ranker = small(max_iter=1)
    return ranker.fit(X, Y) if rank else ranker.partial_fit(X, Y)


def refused(folder):
    """What is refused, before any step."""
    rank = dist.get_rank()
    apart = Checkpoint(folder / f"of-{rank}")
    (folder / f"of-{rank}").mkdir()
    return {
        "table": lambda: small().fit(X[rank:], Y[rank:]),
        "labels": lambda: small().fit(X, Y if rank else 1 - Y),
        "rate": lambda: small(learning_rate=0.01 * (rank + 1)).fit(X, Y),
        "seed": lambda: small(random_state=rank).fit(X, Y),
        "batch norm": lambda: with_layer(nn.BatchNorm1d(8)).fit(X, Y),
        "dropout": lambda: with_layer(nn.Dropout(0.2)).fit(X, Y),
        "compiled": lambda: small(compile=True, dropout=0.1).fit(X, Y),
        "folder": lambda: resumed(apart),
        "diverged": lambda: small(learning_rate=1e30).fit(X, Y),
        "one seed": lambda: small(random_state=(0, None)[rank]).fit(X, Y),
        "dropout rate": lambda: small(dropout=(0.1, 0.6)[rank]).fit(X, Y),
        "part": lambda: MultiTaskRanker(
            sharing=own_activation, sharing__act=("relu", "tanh")[rank], random_state=0
        ).fit(X, Y),
        "scoring": lambda: stops(scoring=("mean_auc", "mean_brier")[rank]),
        "patience": lambda: stops(n_iter_no_change=(1, 5)[rank]),
        "groups": lambda: stops(scoring="gauc:click", groups=X["user"] % (9 - rank)),
        "tol": lambda: stops(tol=(0.0, 0.5)[rank]),
        "unreadable": lambda: small(
            learning_rate_schedule=(Unreadable(), "cosine")[rank]
        ).fit(X, Y),
        "checkpoint of one": lambda: small(callbacks=[[], [apart]][rank]).fit(X, Y),
        "method": lambda: by_parts(rank),
        "tasks": lambda: small().fit(X, Y.set_axis(["a", "b", "cd"[rank]], axis=1)),
        "parts of one": lambda: small(n_microbatches=(2, 4)[rank]).fit(X, Y),
        "three parts": lambda: small(n_microbatches=3).fit(X, Y),
        "RReLU": lambda: with_layer(nn.RReLU()).fit(X, Y),
        "attention": lambda: with_layer(Attends(0.1)).fit(X, Y),
        "function": lambda: with_layer(Drops()).fit(X, Y),
        "damaged": lambda: on_source(damaged(folder / f"log-{rank}")),
        **of_sources(folder / f"shards-{rank}", slice(rank, 430, 2)),
        **one_fails(folder),
    }


def of_sources(folder, shard):
    """Other rows or columns in every process, which are not those of one table."""
    rank = dist.get_rank()
    return {
        "shards": lambda: on_source(written(folder, shard)),
        "fewer rows": lambda: on_source(written(folder, slice(400 - rank))),
        "columns": lambda: on_source(
            written(folder, slice(None), columns=[*X.columns[rank:], *Y])
        ),
        "shards of a query": lambda: on_source(query(shard)),
        "longer query": lambda: on_source(query(slice(1000 // 3 + rank))),
        "shards for validation": lambda: on_source(X_val=written(folder, shard)),
        "X_val of one": lambda: on_source(X_val=(None, query())[rank]),
    }


def one_fails(folder):
    """What one process cannot set up."""
    rank = dist.get_rank()
    scratch = folder / ("scratch", "nowhere")[rank]
    lacks = X.drop(columns=X.columns[:rank])
    bias = small(bias_features=[X.columns[0]])
    return {
        "no scratch": lambda: on_source(scratch_dir=scratch),
        "no file": lambda: on_source((query(), "nowhere.parquet")[rank]),
        "no bias column": lambda: bias.fit(lacks, Y),
        "no validation labels": lambda: small().fit(
            X, Y, X_val=X, y_val=Y.mask(np.full(Y.shape, rank == 1))
        ),
        "no mark": lambda: without_marks(on_source),
        "wrong type": lambda: small(max_iter=(2, "2")[rank]).fit(X, Y),
        "wrong type on a source": lambda: on_source(dropout=(0.1, None)[rank]),
        "wrong parts": lambda: small(n_microbatches=(2, "2")[rank]).fit(X, Y),
    }


def without_marks(call):
    """One process may not write to its folder."""
    error = PermissionError("may not write")
    with contextlib.ExitStack() as stack:
        if dist.get_rank():
            patch = mock.patch("tempfile.NamedTemporaryFile", side_effect=error)
            stack.enter_context(patch)
        call()


def written(folder, rows, columns=None):
    """A file with rows of the table, under one name in every process."""
    folder.mkdir(exist_ok=True)
    path = folder / "log.parquet"
    pd.concat([X, Y], axis=1)[rows][columns or [*X, *Y]].to_parquet(path)
    return path


def damaged(folder):
    """A file of which the first process cannot read all."""
    path = written(folder, slice(None))
    if not dist.get_rank():
        data = bytearray(path.read_bytes())
        data[100:4000] = bytes(3900)
        path.write_bytes(data)
    return path


def taken():
    """What is not refused, as it is the same in every process."""
    return {
        "unreadable in both": lambda: small(learning_rate_schedule=Unreadable()).fit(
            X, Y
        ),
        "attention without dropout": lambda: with_layer(Attends(0.0)).fit(X, Y),
        "noise for all rows": lambda: with_layer(Noise()).fit(X, Y),
        "threads and lines": lambda: small(
            n_threads=1 + dist.get_rank(), verbose=dist.get_rank()
        ).fit(X, Y),
    }


def resumed(checkpoint):
    """A fit that was interrupted after an epoch, and is resumed."""
    ranker = small(max_iter=4, callbacks=[checkpoint, ("stop", Stops())])
    with contextlib.suppress(ZeroDivisionError):
        ranker.fit(X, Y)
    return ranker.set_params(callbacks=[checkpoint]).fit(X, Y)


class Stops(Callback):
    def on_epoch_begin(self, net, **_):
        if len(net.history) == 3:
            raise ZeroDivisionError


def message_of(call):
    """What is raised, or nothing."""
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def join_again(store, seconds):
    """Leave the group, and join another."""
    dist.destroy_process_group()
    dist.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=int(os.environ["RANK"]),
        world_size=2,
        timeout=timedelta(seconds=seconds),
    )


def run(folder):
    """All that one process of several does; the last is to lose another."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    rank = dist.get_rank()
    np.savez(folder / f"fits-{rank}.npz", **all_outcomes())
    again = outcome(fitted(dropout=0.1))
    drawn = outcome(fitted(random_state=None))
    saved = {"again": again, "drawn": drawn, "in four": outcome(in_four())}
    saved["resumed"] = outcome(resumed(Checkpoint(folder / "shared")))
    for name, found in saved.items():
        np.savez(folder / f"{name}-{rank}.npz", **found)
    for name, scratch in {"together": "scratch", "apart": f"scratch-{rank}"}.items():
        np.savez(folder / f"{name}-{rank}.npz", **in_scratch(folder / scratch))
    calls = refused(folder) | taken()
    found = {name: message_of(call) for name, call in calls.items()}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        small(verbose=1).fit(X, Y)
        on_source(verbose=1)
    found["printed"] = printed.getvalue()
    join_again(folder / "slow", 4)
    checkpoint = Checkpoint(folder / "shared")
    ranker = small(max_iter=4, callbacks=[checkpoint, ("sleeps", Sleeps())])
    found["slow"] = message_of(lambda: ranker.fit(X, Y))
    found["saved"] = [file.name for file in (folder / "shared").iterdir()]
    join_again(folder / "lost", 60)
    recovered = outcome(ranker.set_params(callbacks=[checkpoint]).fit(X, Y))
    np.savez(folder / f"recovered-{rank}.npz", **recovered)
    (folder / f"found-{rank}.json").write_text(json.dumps(found))
    found["lost"] = message_of(lambda: small(callbacks=[Dies()]).fit(X, Y))
    (folder / f"found-{rank}.json").write_text(json.dumps(found))


def run_on_ray(folder):
    """Fits of a source and a table, in two workers of the Ray of this process."""
    from ray.train import RunConfig, ScalingConfig

    cluster = {
        "scaling_config": ScalingConfig(num_workers=2),
        "run_config": RunConfig(storage_path=str(folder / "ray")),
    }
    with contextlib.chdir(written(folder / "here", slice(None)).parent):
        held = [Checkpoint("saved"), Callback()]
        ranker = small(callbacks=held, scratch_dir=".")
        fit_on_ray(ranker, "log.parquet", y=list(Y), **cluster)
    table = fit_on_ray(small(dropout=0.1), X, Y, **cluster)
    for name, fit in {"source": ranker, "MMoE": table}.items():
        np.savez(folder / f"ray-{name}.npz", **outcome(fit))
    return ranker, held


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    run(Path(sys.argv[1]))
    # Threads of gloo that wait for the lost process would abort this one.
    os._exit(0)
