"""Tables of pretrained vectors in all their forms, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from gensim.models import KeyedVectors, Word2Vec
from hypothesis import given, settings
from hypothesis import strategies as st

from skmtl.embedders import Word2VecEmbedder
from skmtl.encoding._vectors import VectorTable
from skmtl.encoding._vocabulary import Vocabulary, as_keys

MATRIX = np.arange(6, dtype=np.float32).reshape(3, 2)


def vocabulary(values):
    keys = as_keys(pd.Series(values), "item")
    return Vocabulary.fit(
        keys.distinct, keys.counts, min_frequency=1, max_categories=None
    )


def keyed(words, matrix=MATRIX):
    vectors = KeyedVectors(matrix.shape[1])
    vectors.add_vectors(words, matrix)
    return vectors


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame(MATRIX, index=["a", "b", "c"]),
        (["a", "b", "c"], MATRIX),
        (np.array(["a", "b", "c"]), MATRIX.tolist()),
        (pd.Series(["a", "b", "c"]), pd.DataFrame(MATRIX)),
        keyed(["a", "b", "c"]),
    ],
)
def test_forms(table):
    found = VectorTable.read(table, "item")
    assert found.ids.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(found.vectors, MATRIX)
    assert found.vectors.dtype == np.float32


def test_models_and_embedders():
    model = Word2Vec([["a", "b"]], vector_size=3, min_count=1, workers=1)
    assert set(VectorTable.read(model, "item").ids.tolist()) == {"a", "b"}
    log = pd.DataFrame({"user": [1, 1], "item": [7, 8]})
    embedder = Word2VecEmbedder(embedding_dim=3, random_state=0)
    with pytest.raises(TypeError, match=r"column 'item'.*Fit the embedder first"):
        VectorTable.read(embedder, "item")
    assert set(VectorTable.read(embedder.fit(log), "item").ids.tolist()) == {7, 8}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ((["a", "b", "a"], MATRIX), "column 'item' hold 1 ids more than once.*'a'"),
        (([1, 1.0, 2], MATRIX), "hold 1 ids more than once"),
        ((["a", None, "b"], MATRIX), "column 'item' have a missing id in row 1"),
        ((["a", "b"], MATRIX), "column 'item' hold 2 ids, but 3 vectors"),
        ((["a", "b", "c"], MATRIX[0]), r"column 'item' must be a matrix.*\(2,\)"),
        ((["a", "b", "c"], MATRIX[:, :0]), "column 'item' must be a matrix"),
        ((["a"], [["x"]]), "column 'item' must hold numbers"),
        ((["a", 1, "b"], MATRIX), "embeddings of item.*mixes types"),
        ((["a", "b", "c"], np.where(MATRIX == 3, np.nan, MATRIX)), "'item'.*'b'"),
        ((["a", "b", "c"], np.where(MATRIX == 5, np.inf, MATRIX)), "'item'.*'c'"),
        ({"a": [1.0]}, "column 'item' must be a DataFrame.*found dict"),
        (MATRIX, "column 'item' must be a DataFrame.*found ndarray"),
    ],
)
def test_bad_tables_name_the_column(table, message):
    with pytest.raises((ValueError, TypeError), match=message):
        VectorTable.read(table, "item")


def test_polars_has_no_index():
    polars = pytest.importorskip("polars")
    with pytest.raises(TypeError, match="polars DataFrame has no index"):
        VectorTable.read(polars.DataFrame({"a": [1.0]}), "item")


def test_words_that_are_integers_match_integers():
    table = VectorTable.read(keyed(["12", "-3", str(2**53 + 1)]), "item")
    keys = table.ids_for(vocabulary([12, 5]), "item")
    assert keys.tolist() == [12, -3, 2**53 + 1]


@pytest.mark.parametrize(
    "words", [["12", "03", "4"], ["12", "x", "4"], ["1.0", "2", "3"]]
)
def test_other_words_do_not(words):
    table = VectorTable.read(keyed(words), "item")
    with pytest.raises(ValueError, match=r"'item' holds numbers.*are strings"):
        table.ids_for(vocabulary([12, 5]), "item")


def test_strings_never_match_numbers():
    numbers = VectorTable.read(([1, 2, 3], MATRIX), "item")
    with pytest.raises(ValueError, match="'item' holds strings, such as '1'"):
        numbers.ids_for(vocabulary(["1", "2"]), "item")
    strings = VectorTable.read((["1", "2", "3"], MATRIX), "item")
    with pytest.raises(ValueError, match="'item' holds numbers"):
        strings.ids_for(vocabulary([1, 2]), "item")


integers = st.integers(-(2**70), 2**70)
near = st.integers(2**53 - 3, 2**53 + 3)


@settings(max_examples=60, deadline=None)
@given(
    seen=st.lists(st.one_of(integers, near), min_size=1),
    more=st.lists(st.one_of(integers, near), min_size=1, unique=True),
)
def test_an_extended_vocabulary_keeps_integers_apart(seen, more):
    own = vocabulary(pd.Series(seen, dtype=object))
    keys = VectorTable.read(
        (pd.Series(more, dtype=object), np.ones((len(more), 1))), "i"
    )
    longer = own.extended(keys.ids)
    every = list(dict.fromkeys([*seen, *more]))
    rows = longer.rows(as_keys(pd.Series(every, dtype=object), "i"))
    assert sorted(rows) == list(range(1, len(every) + 1))
    kept = own.rows(as_keys(pd.Series(seen, dtype=object), "i"))
    again = longer.rows(as_keys(pd.Series(seen, dtype=object), "i"))
    np.testing.assert_array_equal(kept, again)
