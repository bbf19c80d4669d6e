"""`to_onnx`: write a fitted ranker to one file that predicts without Python."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

import skmtl
from skmtl._extras import import_extra
from skmtl._files import write_whole
from skmtl._typing import AnyArray, ColumnName, TableLike
from skmtl.calibration import CalibratedTasksCV
from skmtl.calibration._maps import CalibrationMap
from skmtl.encoding import TableEncoder
from skmtl.encoding._numbers import NumberScale
from skmtl.encoding._vocabulary import Vocabulary
from skmtl.export._encoder import Column, columns_of, encoder_graph
from skmtl.export._graph import ML, Graph
from skmtl.export._inputs import onnx_inputs
from skmtl.metrics._predictions import kinds_to_read
from skmtl.output_weights._base import BaseOutputWeights
from skmtl.output_weights._fusion import transformed, weighted_terms
from skmtl.output_weights._terms import TaskColumns
from skmtl.rankers import MultiTaskRanker

if TYPE_CHECKING:
    import onnx
    from torch import nn

# Largest differences between predictions of the file and of the ranker, and between
# probabilities with int8 tables.
ABSOLUTE, RELATIVE = 1e-6, 1e-4
SMALL_TABLES = 0.05
# Numbers of rows of the tables to compare: one, a few, and more than the network's
# block of 1,024.
_COMPARED = (1, 7, 1025)
_OUTPUTS = {"probabilities", "predictions", "score"}
# Largest size of a protocol buffer, less room for the graph.
_LARGEST = 2**31 - 2**20


def to_onnx(
    estimator: BaseEstimator,
    path: str | PathLike[str],
    *,
    X: TableLike | None = None,
    table_dtype: str = "float32",
) -> None:
    """Write a fitted ranker to one ONNX file, from raw columns to probabilities.

    The file holds everything between a raw row and its predictions: vocabularies,
    fallbacks, scales, bins, embeddings, the network, the intercept and the order of
    tasks that the ranker guarantees. It can be used from any language that has an ONNX
    runtime. Before it is written, its predictions are compared with those of
    `estimator`.

    Parameters
    ----------
    estimator : MultiTaskRanker, CalibratedTasksCV, FixedOutputWeights or \
OutputWeightSearchCV
        A fitted ranker, a calibrated one, or output weights around either; with output
        weights the file also returns the ranking score.
    path : str or path-like
        Where to write. An existing file is replaced atomically.
    X : DataFrame of pandas or polars, or array-like, default=None
        Rows to compare on, in addition to generated ones with known, unseen and missing
        ids and extreme numbers.
    table_dtype : {"float32", "int8"}, default="float32"
        Type of the embeddings of ids and bins in the file. "int8" takes a quarter of
        the space, but probabilities differ in the third or fourth digit.

    Raises
    ------
    ValueError
        For what ONNX operators cannot express: columns that are hashed
        (``n_buckets``), columns of vectors, ids beyond 64 bits, integers and fractions
        in one column of ids, output weights with ``method="rank"``, isotonic
        calibration and ``precision="bf16"``; for networks of more than 2 GiB; for an
        estimator that is not one of those above, such as a pipeline; for another
        `table_dtype`; and for ``table_dtype="int8"`` where a task is not binary. The
        message names it.
    NotFittedError
        If `estimator` is not fitted.
    RuntimeError
        If predictions of the file differ from those of `estimator` by more than 1e-6,
        or by more than 1e-4 of their size; with ``table_dtype="int8"``, by more than
        0.05. Then nothing is written.
    ImportError
        If onnx, onnxscript or onnxruntime is not installed. They come with the extra
        ``onnx``.

    See Also
    --------
    onnx_inputs : Convert a table to the inputs of the file.
    skmtl.save : A file that loads into skmtl again.

    Notes
    -----
    Inputs are one tensor for each column, by its name (``x0``, ``x1``, … for a ranker
    fitted on an array): ids as strings or int64, numbers as float64, each of shape
    ``(rows, 1)``; lists of shape ``(rows, length)``, padded at their end. A missing
    number is NaN; the value for a missing id is in the metadata. Outputs are
    ``probabilities``, ``(rows, n_tasks)`` in float64, and with output weights
    ``score``, ``(rows,)``. If some tasks are not binary, ``predictions`` replaces
    ``probabilities``: it holds what `predict_task` returns, ``(rows, n_columns)``.

    Operators are of opset 20 and, for ids, version 4 of ``ai.onnx.ml``, which
    onnxruntime supports since 1.17. The metadata hold, as JSON, ``inputs``,
    ``task_names``, ``columns`` (of the predictions), ``feature_names``,
    ``output_weights`` and ``fusion_method``; as text, ``estimator`` and
    ``skmtl_version``; and with int8 tables ``largest_difference``, the largest
    difference between probabilities of the file and of the ranker.

    Examples
    --------
    >>> import os, tempfile
    >>> import onnxruntime
    >>> from skmtl import ShareBottom
    >>> from skmtl.datasets import make_funnel
    >>> from skmtl.export import onnx_inputs, to_onnx
    >>> log = make_funnel(2000, random_state=0)
    >>> ranker = ShareBottom(max_iter=1, random_state=0)
    >>> ranker = ranker.fit(log.data, log.target[["click", "cart"]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "ranker.onnx")
    ...     to_onnx(ranker, path)
    ...     session = onnxruntime.InferenceSession(path)
    >>> rows = log.data.iloc[:3]
    >>> (proba,) = session.run(None, onnx_inputs(session, rows))
    >>> bool(abs(proba - ranker.predict_task_proba(rows)).max() < 1e-6)
    True
    """
    onnx = import_extra("onnx", "onnx", "to_onnx")
    import_extra("onnxscript", "onnx", "to_onnx")
    if table_dtype not in ("float32", "int8"):
        raise ValueError(
            f"table_dtype must be 'float32' or 'int8', found {table_dtype!r}."
        )
    parts = _parts(estimator)
    if table_dtype == "int8" and not parts.ranker._kinds.all_binary:
        raise ValueError(
            "table_dtype='int8' is only for rankers whose tasks are all binary. Use "
            "table_dtype='float32'."
        )
    _check_size(parts.ranker)
    encoder = parts.ranker.encoder_
    columns = columns_of(encoder, _OUTPUTS)
    model = _model(onnx, parts, columns)
    _describe(onnx, model, parts, columns)
    data = model.SerializeToString()
    tables: list[TableLike] = [trial_rows(encoder, n_rows) for n_rows in _COMPARED]
    tables = tables if X is None else [*tables, X]
    _compare(data, estimator, parts, tables)
    if table_dtype == "int8":
        data = _with_small_tables(onnx, model, parts, tables)
    write_whole(path, data)


@dataclass(frozen=True)
class Parts:
    """The parts of an estimator.

    Attributes
    ----------
    probabilities : estimator
        The estimator of the probabilities: the ranker, or the calibrated one.
    ranker : MultiTaskRanker
        The ranker.
    maps : list of CalibrationMap or None
        The calibration of each task.
    weights : ndarray of shape (n_terms,) or None
        Output weights.
    method : str
        How they fuse.
    factors : list of list of int
        Columns of predictions that are multiplied in each term.
    """

    probabilities: BaseEstimator
    ranker: BaseEstimator
    maps: list[CalibrationMap | None] | None = None
    weights: npt.NDArray[np.float64] | None = None
    method: str = "sum"
    factors: list[list[int]] = field(default_factory=list)

    @property
    def what(self) -> str:
        """Name of the output with the predictions."""
        return "probabilities" if self.ranker._kinds.all_binary else "predictions"

    def predict(self, X: TableLike) -> npt.NDArray[np.float64]:
        """Predict what the file should return."""
        if self.ranker._kinds.all_binary:
            return np.asarray(self.probabilities.predict_task_proba(X))
        return np.asarray(self.probabilities.predict_task(X))


def _parts(estimator: BaseEstimator) -> Parts:
    """Take an estimator apart; raise if it cannot be exported."""
    inner, weights, method, maps = estimator, None, "sum", None
    factors: list[list[int]] = []
    if isinstance(estimator, BaseOutputWeights):
        inner, method = estimator._inner(), estimator.method
        names = estimator._names()
        columns = TaskColumns(names, kinds_to_read(inner, names))
        given = estimator._output_weights(columns)
        terms, weights = weighted_terms(given, columns.names)
        factors = terms.factors
    ranker = inner
    if isinstance(inner, CalibratedTasksCV):
        check_is_fitted(inner)
        ranker, maps = inner.estimator_, inner.calibration_maps_
    if not isinstance(ranker, MultiTaskRanker):
        raise ValueError(
            f"to_onnx takes a ranker, or output weights around one; found a "
            f"{type(ranker).__name__}. Pass the last step of a pipeline."
        )
    check_is_fitted(ranker)
    if weights is not None and method == "rank":
        raise ValueError(
            "method='rank' cannot be exported: a rank depends on the other rows, and "
            "jumps if two rows are equal up to rounding. Export the ranker, and rank "
            "the rows of a request by its probabilities."
        )
    if ranker.net_.module_.precision != "float32":
        raise ValueError(
            f"precision={ranker.net_.module_.precision!r} cannot be exported: ONNX "
            "runtimes on the CPU multiply in float32. Fit with precision='float32'."
        )
    return Parts(inner, ranker, maps, weights, method, factors)


def _check_size(ranker: BaseEstimator) -> None:
    tensors = ranker.net_.module_.state_dict().values()
    size = sum(t.numel() * t.element_size() for t in tensors)
    if size > _LARGEST:
        raise ValueError(
            f"The network has {size / 2**30:.1f} GiB, but an ONNX file at most 2. "
            "Set a smaller embedding_dim or max_categories."
        )


def _model(onnx: ModuleType, parts: Parts, columns: list[Column]) -> onnx.ModelProto:
    """Put encoder and network into one model."""
    from skmtl.export import _network

    encoder, weights = parts.ranker.encoder_, parts.weights
    graph = Graph(onnx)
    made = encoder_graph(graph, encoder, columns)
    after: nn.Module = _network.Probabilities()
    if weights is not None:
        alone = parts.ranker._kinds.all_binary and len(parts.ranker.task_names_) == 1
        base = _base(weights, parts.method) if alone else 0.0
        after = _network.FusedScore(weights, parts.method, base, parts.factors)
    names = {part: [f"{part}_{k}" for k in range(len(made[part]))] for part in made}
    widths = {
        "ids": len(encoder.categorical_names_),
        "bins": len(encoder.bin_sizes_),
        "numeric": len(encoder.numeric_names_),
    }
    pipeline = _network.Pipeline(parts.ranker, parts.maps, after)
    model = _network.export_network(pipeline, names, widths, parts.what)
    _join(onnx, model, graph, made, names)
    return model


def _base(weights: npt.NDArray[np.float64], method: str) -> float:
    """Return what `decision_function` subtracts from the score of a single task."""
    # A score above 0 then means a probability above one half.
    half = transformed(np.full((1, 1), 0.5), method, ["0"])[0, 0]
    return float(weights[0] * half)


def _join(
    onnx: ModuleType,
    model: onnx.ModelProto,
    graph: Graph,
    made: dict[str, list[str]],
    names: dict[str, list[str]],
) -> None:
    """Put the encoder before the network, and connect them."""
    # The prefix keeps names of the network from those of columns. Outputs get their own
    # names back at the end.
    outputs = [one.name for one in model.graph.output]
    inner = onnx.compose.add_prefix(model, "network/").graph
    model.graph.CopyFrom(inner)
    links = [
        onnx.helper.make_node("Identity", [source], [f"network/{name}"])
        for part in made
        for source, name in zip(made[part], names[part], strict=True)
    ]
    ends = [
        onnx.helper.make_node("Identity", [one.name], [name])
        for one, name in zip(inner.output, outputs, strict=True)
    ]
    nodes = [*graph.nodes, *links, *inner.node, *ends]
    # Repeated fields of a protocol buffer cannot be assigned.
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend(nodes)
    model.graph.input.extend(graph.inputs)
    model.graph.initializer.extend(graph.constants)
    for one, name in zip(model.graph.output, outputs, strict=True):
        one.name = name
    model.opset_import.append(onnx.helper.make_opsetid(ML, 4))


def _describe(
    onnx: ModuleType, model: onnx.ModelProto, parts: Parts, columns: list[Column]
) -> None:
    """Add names, types and versions, for users who have only the file."""
    ranker, weights, method = parts.ranker, parts.weights, parts.method
    names = getattr(ranker, "feature_names_in_", None)
    listed = ranker._kinds.column_names(ranker.task_names_)
    inputs = [asdict(one) | {"column": str(one.column)} for one in columns]
    text = {
        "skmtl_version": skmtl.__version__,
        "estimator": type(ranker).__name__,
        "task_names": json.dumps([str(name) for name in ranker.task_names_]),
        "columns": json.dumps(listed),
        "feature_names": json.dumps(None if names is None else list(names)),
        "inputs": json.dumps(inputs),
        "output_weights": json.dumps(None if weights is None else weights.tolist()),
        "score_terms": json.dumps([[listed[c] for c in own] for own in parts.factors]),
        "fusion_method": json.dumps(None if weights is None else method),
    }
    # Those of torch's exporter.
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, text)
    model.producer_name, model.producer_version = "skmtl", skmtl.__version__
    model.graph.name = type(ranker).__name__
    outputs = parts.what if weights is None else f"{parts.what} and score"
    model.doc_string = f"Raw columns in, {outputs} out."


def _compare(
    data: bytes, estimator: BaseEstimator, parts: Parts, tables: list[TableLike]
) -> None:
    """Raise if predictions of the file are not those of the estimator."""
    runtime = import_extra("onnxruntime", "onnx", "to_onnx")
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    binary = parts.ranker._kinds.all_binary
    for X in tables:
        proba, *score = session.run(None, onnx_inputs(session, X))
        _check_close(parts.what, proba, parts.predict(X))
        if score:
            expected = estimator.decision_function(X)
            # A revenue may be near 0 beside others, and is judged by the largest.
            slack = 1.0 if binary else max(1.0, float(np.abs(expected).max(initial=0)))
            _check_close("score", score[0], expected, slack=slack)


def _with_small_tables(
    onnx: ModuleType, model: onnx.ModelProto, parts: Parts, tables: list[TableLike]
) -> bytes:
    """Return the file with 8-bit embeddings and their effect in the metadata.

    Dense layers are not changed: onnxruntime scales inputs of 8-bit products by the
    largest number of the request, so a row's score would depend on the other rows.
    """
    runtime = import_extra("onnxruntime", "onnx", "to_onnx")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from skmtl.export._network import without_log

    # onnxruntime advises to preprocess the graph first, which would change nothing.
    with tempfile.TemporaryDirectory() as folder, without_log(None):
        path = Path(folder) / "small.onnx"
        quantize_dynamic(
            model,
            path,
            op_types_to_quantize=["Gather"],
            nodes_to_exclude=_nodes_of_ranges(model),
            weight_type=QuantType.QInt8,
        )
        small = onnx.load(path)
    session = runtime.InferenceSession(small.SerializeToString())
    differences = [0.0]
    for X in tables:
        proba = session.run(["probabilities"], onnx_inputs(session, X))[0]
        expected = np.asarray(parts.probabilities.predict_task_proba(X))
        differences.append(float(np.abs(proba - expected).max(initial=0.0)))
    # Unlike Python's `max`, numpy's is NaN if any value is.
    largest = float(np.max(differences))
    # Also refuses NaN.
    if not largest <= SMALL_TABLES:
        raise RuntimeError(
            f"With table_dtype='int8' probabilities differ from those of the ranker by "
            f"up to {largest:.2f}. Nothing was written. Use table_dtype='float32'."
        )
    found = small.metadata_props.add()
    found.key, found.value = "largest_difference", repr(largest)
    return bytes(small.SerializeToString())


def _nodes_of_ranges(model: onnx.ModelProto) -> list[str]:
    """Name the nodes that read the ranges of bins, which are not embeddings."""
    nodes = model.graph.node
    return [n.name for n in nodes if any("bin_ranges" in x for x in n.input[:1])]


def _check_close(
    what: str,
    found: npt.NDArray[np.float64],
    expected: npt.NDArray[np.float64],
    slack: float = 0.0,
) -> None:
    """Compare predictions.

    A score may be near 0 as the difference of large numbers. So may an expected label,
    whose error is judged by the largest one of its column.
    """
    difference = np.abs(found - expected)
    size = np.abs(expected)
    if what == "predictions":
        size = np.broadcast_to(size.max(axis=0), size.shape)
    # Negated, since NaN fails every comparison.
    bad = ~(difference <= RELATIVE * (size + slack))
    if not slack:
        bad |= ~(difference <= ABSOLUTE * np.maximum(size, 1.0))
    if bad.any() or not np.isfinite(found).all():
        row = int(np.argmax(bad.reshape(len(bad), -1).any(axis=1)))
        raise RuntimeError(
            f"The {what} of the ONNX file differ from those of the ranker, by up to "
            f"{difference.max():.1e}: row {row} of a trial table of {len(found)} rows "
            f"has {found[row]} instead of {expected[row]}. Nothing was written. Please "
            "report this with the versions of torch, onnx and onnxruntime."
        )


_EXTREME = (0.0, 1e-300, 1e300, -1e300, 1.7e308, -1.7e308, float("nan"))


def trial_rows(encoder: TableEncoder, n_rows: int, seed: int = 0) -> pd.DataFrame:
    """Draw a table for a fitted encoder from what it knows.

    Parameters
    ----------
    encoder : TableEncoder
        The encoder.
    n_rows : int
        Rows of the table.
    seed : int
        Seed of the draws.

    Returns
    -------
    DataFrame
        Most ids and half of the numbers are ordinary, the others missing, unseen or
        extreme. Optional columns are missing.
    """
    rng = np.random.default_rng(seed)
    columns: dict[int, AnyArray | pd.Series] = {}
    for name, place in zip(
        encoder.categorical_names_, encoder._categorical, strict=True
    ):
        if name not in encoder.optional_names_:
            columns[place] = _ids(encoder, name, rng, n_rows)
    for name, place in zip(encoder.bag_names_, encoder._lists, strict=True):
        lengths = rng.integers(0, 6, size=n_rows)
        cells = _ids(encoder, name, rng, int(lengths.sum())).tolist()
        ends = lengths.cumsum()
        column = pd.Series(
            [cells[e - n : e] for e, n in zip(ends, lengths, strict=True)]
        )
        columns[place] = column.where(rng.random(n_rows) > 0.05, None)
    for scale, place in zip(encoder._scales, encoder._numeric, strict=True):
        columns[place] = _numbers(scale, rng, n_rows)
    every = [*encoder.categorical_names_, *encoder.bag_names_, *encoder.numeric_names_]
    places = [*encoder._categorical, *encoder._lists, *encoder._numeric]
    for name, place in zip(every, places, strict=True):
        if name in encoder.optional_names_:  # predictions do not read them
            columns[place] = np.full(n_rows, np.nan)
    names = encoder._matched_names() or range(encoder.n_features_in_)
    table = pd.DataFrame({place: columns[place] for place in sorted(columns)})
    table.columns = pd.Index(names)
    return table


def _ids(
    encoder: TableEncoder, name: ColumnName, rng: np.random.Generator, n: int
) -> pd.Series:
    """Draw ids of a column: nine in ten known, the others unseen or missing."""
    vocabulary = encoder._vocabularies[encoder.vocabulary_places_[name]]
    assert isinstance(vocabulary, Vocabulary)  # hashed columns were refused
    keys = np.asarray(vocabulary.keys)
    strange = _strange(keys, bool(vocabulary.numbers))
    known = keys if len(keys) else strange
    cells = known[rng.integers(len(known), size=n)].astype(object)
    draw = rng.random(n)
    unseen = draw > 0.93
    cells[unseen] = strange[rng.integers(len(strange), size=int(unseen.sum()))]
    cells[draw < 0.05] = None
    return pd.Series(cells, dtype=object)


def _strange(keys: np.ndarray, numbers: bool) -> np.ndarray:
    """Return ids that are not among the keys."""
    if not numbers:
        words = ["", "unseen", "ünseen", " ", *(f"unseen {k}" for k in range(4))]
        known = set(keys.tolist())
        return np.array([word for word in words if word not in known], dtype=object)
    if keys.dtype.kind == "f":
        return np.array([x for x in (0.125, -7.5, 1e9 + 0.5) if x not in keys], object)
    # Among them 2 ** 24 + 1, which float32 does not hold.
    tries = [0, -2, 7, 16_777_217, 2**31, 2**62, -(2**62)]
    return np.array([k for k in tries if k not in keys], dtype=object)


def _numbers(scale: NumberScale, rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw numbers like those of `fit`, bin edges, their neighbours and extremes."""
    width = 1 / scale.scale if scale.scale else 1.0
    ordinary = scale.center + width * rng.standard_normal(n)
    edges = scale.edges
    if edges is None or not len(edges):
        edges = np.array([scale.center])
    # Numbers beside an edge show whether it is compared in float64.
    near = np.concatenate([edges, np.nextafter(edges, -np.inf), np.array(_EXTREME)])
    return np.where(rng.random(n) < 0.5, ordinary, rng.choice(near, size=n))
