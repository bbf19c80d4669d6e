"""`TableEncoder.encode` in ONNX operators."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, chain, count

import numpy as np

from skmtl._typing import ColumnName
from skmtl.encoding import TableEncoder
from skmtl.encoding._hashing import HashedIds
from skmtl.encoding._numbers import NumberScale
from skmtl.encoding._vocabulary import Vocabulary
from skmtl.export._graph import ML, Graph


@dataclass(frozen=True)
class Column:
    """An input of the file.

    Attributes
    ----------
    input : str
        Its name.
    column : str or int
        The column of the table.
    dtype : {"string", "int64", "float64"}
        Type of its cells.
    is_id, is_list : bool
        Whether it holds ids, and whether in lists.
    missing : str, int or None
        Value of a missing cell or entry; None for NaN.

    Notes
    -----
    A column is named as the encoder names it, by a number if it was fitted on arrays.
    """

    input: str
    column: ColumnName
    dtype: str
    is_id: bool
    is_list: bool
    missing: object


def columns_of(encoder: TableEncoder, taken: set[str]) -> list[Column]:
    """Return the inputs for a fitted encoder, in the order of the table's columns.

    Parameters
    ----------
    encoder : TableEncoder
        The encoder.
    taken : set of str
        Names that inputs must not have.

    Raises
    ------
    ValueError
        For a column that ONNX operators cannot encode; the message names it.
    """
    names = [*encoder.categorical_names_, *encoder.bag_names_, *encoder.numeric_names_]
    places = [*encoder._categorical, *encoder._lists, *encoder._numeric]
    if encoder._widths:
        raise ValueError(
            "The table of fit has a column of vectors, read as "
            f"{encoder.numeric_names_[:2]} and so on, which an ONNX file cannot read. "
            "Spread its numbers over columns before fitting."
        )
    of_arrays = encoder._matched_names() is None
    found = []
    for name, place in sorted(
        zip(names, places, strict=True), key=lambda pair: pair[1]
    ):
        if name in encoder.optional_names_:
            continue  # known in training only
        # Inputs and outputs of a graph share one set of names.
        unused = f"x{place}" if of_arrays else str(name)
        while unused in taken:
            unused += "_input"
        taken = taken | {unused}
        is_id, is_list = name in encoder.vocabulary_of_, name in encoder.bag_names_
        dtype, missing = "float64", None
        if is_id:
            dtype, missing = _ids(_vocabulary(encoder, name), name, is_list)
        found.append(Column(unused, name, dtype, is_id, is_list, missing))
    return found


def _vocabulary(encoder: TableEncoder, name: ColumnName) -> Vocabulary | HashedIds:
    return encoder._vocabularies[encoder.vocabulary_places_[name]]


def _ids(
    vocabulary: Vocabulary | HashedIds, name: ColumnName, is_list: bool
) -> tuple[str, str | int | None]:
    """Return the type of the ids of a column, and the value for a missing one.

    That value is not one of the known ids. In lists it is also unlikely to be an
    unknown id, since unknown ids count in a list and missing ones do not.
    """
    if isinstance(vocabulary, HashedIds):
        raise ValueError(
            f"Column {name!r} is hashed (n_buckets), for which ONNX has no operator. "
            "Leave it out of n_buckets, or serve the ranker itself."
        )
    keys = np.asarray(vocabulary.keys)
    if vocabulary.numbers is None or not vocabulary.numbers:
        known = set(keys.tolist())
        markers = chain(["<missing>"], (f"<missing {k}>" for k in count(2)))
        words = markers if is_list else chain([""], markers)
        return "string", next(m for m in words if m not in known)
    if keys.dtype.kind == "f":
        return "float64", None
    if len(keys) and keys.dtype.kind not in "iu":
        raise ValueError(
            f"Column {name!r} has ids beyond 64 bits, or integers among fractions, "
            "which ONNX cannot hold. Turn them into strings before fitting."
        )
    known = set(keys.tolist())
    numbers = count(-(2**63)) if is_list else chain([-1], count(-(2**63)))
    return "int64", next(m for m in numbers if m not in known)


def encoder_graph(
    graph: Graph, encoder: TableEncoder, columns: list[Column]
) -> dict[str, list[str]]:
    """Add the nodes that encode a table.

    Returns
    -------
    dict of str to list of str
        Names of what the network reads: "ids", "bins", "numeric", each at most one,
        and "bags", the rows and the mask of one column of lists after the other.
    """
    inputs = {
        c.column: graph.input(c.input, c.dtype, ["rows", f"{c.input} length"])
        if c.is_list
        else graph.input(c.input, c.dtype, ["rows", 1])
        for c in columns
    }
    of_column = {c.column: c for c in columns}
    inputs |= _unknown_columns(graph, encoder, inputs[columns[0].column])
    found: dict[str, list[str]] = {"ids": [], "bins": [], "numeric": [], "bags": []}
    if encoder.categorical_names_:
        found["ids"] = [_single_ids(graph, encoder, inputs)]
    for name in encoder.bag_names_:
        found["bags"] += _bag(graph, encoder, inputs[name], of_column[name])
    if encoder.numeric_names_:
        x = graph.add(
            "Concat", *(inputs[name] for name in encoder.numeric_names_), axis=1
        )
        found["numeric"] = [_scaled(graph, encoder._scales, x)]
        if encoder.bin_sizes_:
            found["bins"] = [_bins(graph, encoder, x)]
    return found


def _unknown_columns(
    graph: Graph, encoder: TableEncoder, like: str
) -> dict[ColumnName, str]:
    """Columns of zeros and of missing numbers in place of the optional ones.

    They have as many rows as the input `like`.
    """
    found = {}
    for name in encoder.optional_names_:
        # The number of rows is known only when the file is used.
        rows = graph.add("Shape", like, end=1)
        shape = graph.add("Concat", rows, graph.constant(np.array([1])), axis=0)
        is_id = name in encoder.vocabulary_of_
        cell = np.array([0]) if is_id else np.array([np.nan])
        found[name] = graph.add("ConstantOfShape", shape, value=graph.tensor(cell))
    return found


def _rows(
    graph: Graph,
    vocabulary: Vocabulary | HashedIds,
    x: str,
    extra: dict[ColumnName, int],
    first: int = 0,
) -> str:
    """Look up the row of each id; `first` is the row of unknown ids."""
    assert isinstance(vocabulary, Vocabulary)  # hashed columns were refused
    keys = np.asarray(vocabulary.keys)
    rows = np.arange(first + 1, first + len(keys) + 1)
    cells = [*extra, *keys.tolist()]
    values = [*extra.values(), *rows.tolist()]
    if not cells:
        # A LabelEncoder must have keys; without any, all ids are unknown.
        shape = graph.add("Shape", x)
        unknown = graph.tensor(np.array([first], np.int64))
        return graph.add("ConstantOfShape", shape, value=unknown)
    if isinstance(cells[0], float):
        found = graph.add(
            "LabelEncoder", x, domain=ML,
            keys_tensor=graph.tensor(np.array(cells, np.float64)),
            values_tensor=graph.tensor(np.array(values, np.float64)),
            default_tensor=graph.tensor(np.array([first], np.float64)),
        )  # fmt: skip
        return graph.cast(found, "INT64")
    kind = "strings" if isinstance(cells[0], str) else "int64s"
    return graph.add(
        "LabelEncoder", x, domain=ML,
        **{f"keys_{kind}": cells}, values_int64s=values, default_int64=first,
    )  # fmt: skip


def _single_ids(
    graph: Graph, encoder: TableEncoder, inputs: dict[ColumnName, str]
) -> str:
    """Rows of the fused table, ``(rows, n_ids)``."""
    names, firsts = encoder.categorical_names_, encoder.layout_.column_first

    def rows_of(name: ColumnName, first: int) -> str:
        if name in encoder.optional_names_:  # the network does not read it
            return inputs[name]
        return _rows(graph, _vocabulary(encoder, name), inputs[name], {}, first)

    if not encoder.layout_.fallbacks:
        rows = [
            rows_of(name, int(first)) for name, first in zip(names, firsts, strict=True)
        ]
        return graph.add("Concat", *rows, axis=1)
    own = [rows_of(name, 0) for name in names]
    codes = list(own)
    for one in encoder.layout_.fallbacks:
        column = codes[one.column]
        for other, first in zip(one.chain, one.first, strict=True):
            zero = graph.constant(np.int64(0))
            unknown = graph.add("Equal", column, zero)
            known = graph.add("Greater", own[other], zero)
            use = graph.add("And", unknown, known)
            row = graph.add("Add", own[other], graph.constant(np.int64(first - 1)))
            column = graph.add("Where", use, row, column)
        codes[one.column] = column
    joined = graph.add("Concat", *codes, axis=1)
    return graph.add("Add", joined, graph.constant(np.array([firsts], np.int64)))


def _bag(graph: Graph, encoder: TableEncoder, x: str, column: Column) -> list[str]:
    """Return rows of the fused table for entries of lists, and which entries count."""
    # Padding gets -1: row 0 is that of unknown ids, which count.
    extra = {} if column.missing is None else {column.missing: -1}
    codes = _rows(graph, _vocabulary(encoder, column.column), x, extra)
    zero = graph.constant(np.int64(0))
    if column.missing is None:
        there = graph.add("Not", graph.add("IsNaN", x))
    else:
        there = graph.add("GreaterOrEqual", codes, zero)
    if encoder.max_length is not None:
        # The last entries are kept: count, for each, itself and those after it.
        counts = graph.cast(there, "INT64")
        from_end = graph.add("CumSum", counts, graph.constant(np.int64(1)), reverse=1)
        most = graph.constant(np.int64(encoder.max_length))
        near = graph.add("LessOrEqual", from_end, most)
        there = graph.add("And", there, near)
    place = encoder.vocabulary_places_[column.column]
    first = graph.constant(np.int64(encoder.layout_.first[place]))
    # Entries that do not count are looked up too, in a row that exists.
    rows = graph.add("Add", graph.add("Max", codes, zero), first)
    return [rows, there]


def _scaled(graph: Graph, scales: list[NumberScale], x: str) -> str:
    """Scale and squash numbers ``(rows, n_numeric)``, missing ones become 0.

    In float64, since where a number lies in a narrow bin depends on its last digits.
    """
    center, scale = (
        graph.constant(np.array([[getattr(one, name) for one in scales]], np.float64))
        for name in ("center", "scale")
    )
    zero, one, three, most, least = (
        graph.constant(np.float64(v)) for v in (0.0, 1.0, 3.0, 1e6, -1e6)
    )
    z = graph.add("Mul", graph.add("Sub", x, center), scale)
    # NaN also arises where an infinite distance is multiplied by a scale of 0.
    z = graph.add("Where", graph.add("IsNaN", z), zero, z)
    z = graph.add("Clip", z, least, most)
    part = graph.add("Div", z, three)
    square = graph.add("Add", graph.add("Mul", part, part), one)
    squashed = graph.add("Div", z, graph.add("Sqrt", square))
    return graph.cast(squashed, "FLOAT")


def _bins(graph: Graph, encoder: TableEncoder, x: str) -> str:
    """Find the rows of the fused table of bins, by a search tree for each column."""
    trees = SearchTrees()
    firsts = accumulate(encoder.bin_sizes_, initial=0)
    # The last number is the size of the table, for which there is no column.
    for feature, first in zip(encoder.binned_, firsts, strict=False):
        edges = encoder._scales[feature].edges
        assert edges is not None  # it has bins
        trees.add(feature, edges.tolist(), first)
    return graph.cast(trees.put(graph, x), "INT64")


class SearchTrees:
    """Count the edges at or below each number, by binary search.

    This is one node of the graph, which onnxruntime evaluates in float64. Its outputs
    are float32, exact up to 2^24 bins.
    """

    def __init__(self) -> None:
        # For each node of each tree: mode, feature, edge, the next node if the test
        # holds and if not, and whether it holds for NaN. A leaf has its row as edge.
        self.trees: list[list[tuple[str, int, float, int, int, int]]] = []

    def add(self, feature: int, edges: list[float], first: int) -> None:
        """Add a tree whose leaves are `first`, for NaN, and the rows that follow."""
        tree: list[tuple[str, int, float, int, int, int]] = []
        self.trees.append(tree)

        def leaf(row: int) -> int:
            tree.append(("LEAF", 0, float(row), 0, 0, 0))
            return len(tree) - 1

        def search(low: int, high: int) -> int:
            if low == high:
                return leaf(first + 1 + low)
            # The place is taken first: branches name their children by number.
            middle, at = (low + high) // 2, len(tree)
            tree.append(("", 0, 0.0, 0, 0, 0))
            below, above = search(low, middle), search(middle + 1, high)
            tree[at] = ("BRANCH_LT", feature, edges[middle], below, above, 0)
            return at

        # The root separates NaN: no number is less than minus infinity.
        tree.append(("BRANCH_LT", feature, -np.inf, 1, 2, 1))
        leaf(first)
        search(0, len(edges))

    def put(self, graph: Graph, x: str) -> str:
        """Add the node, ``(rows, n_features)`` to ``(rows, n_trees)``."""
        nodes = [
            (t, k, *n) for t, tree in enumerate(self.trees) for k, n in enumerate(tree)
        ]
        leaves = [(t, k, row) for t, k, mode, _, row, *_ in nodes if mode == "LEAF"]
        tree, number, mode, feature, edge, below, above, nan = zip(*nodes, strict=True)
        # Each tree has an output of its own, to which one leaf adds its row.
        of_leaf, leaf, row = zip(*leaves, strict=True)
        return graph.add(
            "TreeEnsembleRegressor", x, domain=ML, n_targets=len(self.trees),
            nodes_treeids=tree, nodes_nodeids=number, nodes_modes=mode,
            nodes_featureids=feature,
            nodes_values_as_tensor=graph.tensor(np.array(edge)),
            nodes_truenodeids=below, nodes_falsenodeids=above,
            nodes_missing_value_tracks_true=nan,
            target_treeids=of_leaf, target_nodeids=leaf, target_ids=of_leaf,
            target_weights_as_tensor=graph.tensor(np.array(row)),
        )  # fmt: skip
