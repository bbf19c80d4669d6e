"""Names of columns say where each lies in the input."""

import pickle

import pytest
import torch

from skmtl.modules import (
    BagColumn,
    ColumnSlices,
    Pretrained,
    Ragged,
    TableEmbedding,
    TaskEmbedding,
)

NAMES = ["user", "item", "shop", "basket", "price", "age"]
N = 6


def make(kind=TableEmbedding, dims=(4, 4, 4), n_bins=2, own_table=False, **more):
    torch.manual_seed(0)
    vectors = Pretrained(torch.tensor([1, 2]), torch.randn(2, 3), frozen=True)
    return kind(
        vocabulary_sizes=[5, 7, 3],
        bin_sizes=[4, 3][:n_bins],
        n_numeric=2,
        embedding_dim=list(dims),
        bin_dim=2,
        sparse=False,
        more_hashes=[1],
        bags=[BagColumn(1)],
        pretrained={0: vectors} if own_table else None,
        names=NAMES,
        **more,
    )


def rows():
    generator = torch.Generator().manual_seed(0)

    def draw(low, high, size=(N, 1)):
        return torch.randint(low, high, size, generator=generator)

    ids = torch.cat([draw(0, 5), draw(5, 12), draw(12, 15), draw(5, 12)], dim=1)
    bins = torch.cat([draw(0, 4), draw(4, 7)], dim=1)
    bag = Ragged(draw(5, 12, (2 * N,)), torch.arange(0, 2 * N + 1, 2))
    return {
        "ids": ids,
        "bins": bins,
        "numeric": torch.randn(N, 2, generator=generator),
        "bags": [bag],
    }


def changed(X, name):
    """The rows with other cells in one column."""
    X = dict(X)
    k = NAMES.index(name)
    if name == "basket":
        (bag,) = X["bags"]
        X["bags"] = [Ragged(5 + (bag.values - 4) % 7, bag.offsets)]
    elif k < 3:
        first, size = [(0, 5), (5, 7), (12, 3)][k]
        ids = X["ids"].clone()
        ids[:, k] = first + (ids[:, k] - first + 1) % size
        X["ids"] = ids
    else:
        numeric, bins = X["numeric"].clone(), X["bins"].clone()
        numeric[:, k - 4] += 1
        if bins.shape[1]:
            first, size = [(0, 4), (4, 3)][k - 4]
            bins[:, k - 4] = first + (bins[:, k - 4] - first + 1) % size
        X |= {"numeric": numeric, "bins": bins}
    return X


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"dims": (4, 2, 4)},
        {"dims": (2, 4, 8)},
        {"own_table": True},
        {"dims": (2, 4, 2), "own_table": True},
        {"n_bins": 0},
        {"kind": TaskEmbedding, "n_sets": 3},
        {"kind": TaskEmbedding, "n_sets": 2, "dims": (2, 4, 8)},
    ],
    ids=str,
)
def test_a_column_changes_its_own_positions_only(settings):
    embedding, X = make(**settings), rows()
    if settings.get("n_bins") == 0:
        X["bins"] = X["bins"][:, :0]
    before = embedding(**X)
    assert before.shape[-1] == embedding.width
    seen = []
    for name in NAMES:
        moved = (embedding(**changed(X, name)) != before).flatten(0, -2).any(dim=0)
        found = embedding.columns.positions([name]).tolist()
        assert moved.nonzero().flatten().tolist() == sorted(found)
        seen += found
    assert sorted(seen) == list(range(embedding.width))


def test_positions_are_in_the_order_asked_for():
    columns = make().columns
    assert list(columns) == NAMES
    both = columns.positions(["price", "user"]).tolist()
    assert both == columns.positions(["price"]).tolist() + list(range(4))
    assert [one.stop - one.start for one in columns["price"]] == [2, 1]
    assert pickle.loads(pickle.dumps(columns)) == columns
    with pytest.raises(ValueError, match=r"no column 'prize'\. Its columns are "):
        columns.positions(["user", "prize"])


def test_numbers_without_bins_have_one_place():
    columns = make(n_bins=1, binned=[1]).columns
    price, age = ([one.stop - one.start for one in columns[n]] for n in NAMES[-2:])
    assert (price, age) == ([1], [2, 1])
    for binned in ([], [2], [0, 1]):
        with pytest.raises(ValueError, match="binned names"):
            make(n_bins=1, binned=binned)


@pytest.mark.parametrize("change", [{"n_numeric": 3}, {"bags": ()}])
def test_names_that_do_not_fit(change):
    sizes = {
        "vocabulary_sizes": [5],
        "bin_sizes": [4, 3],
        "n_numeric": 2,
        "embedding_dim": 3,
        "bin_dim": 2,
        "sparse": False,
        "bags": [BagColumn(0)],
    }
    names = ["user", "basket", "price", "age"]
    assert list(TableEmbedding(**sizes, names=names).columns) == names
    assert len(TableEmbedding(**sizes | change).columns) == 0
    with pytest.raises(ValueError, match="names has 4 columns, but there are 1 of ids"):
        TableEmbedding(**sizes | change, names=names)


def test_a_mapping_like_others():
    columns = ColumnSlices({"a": (slice(0, 2),)})
    assert dict(columns) == {"a": (slice(0, 2),)}
    assert repr(columns) == "ColumnSlices({'a': (slice(0, 2, None),)})"


@pytest.mark.parametrize("kind", [TableEmbedding, TaskEmbedding])
def test_bins_are_interpolated_between_their_edges(kind):
    """From a bin's embedding at its lower edge to the next bin's at its upper one."""
    more = {} if kind is TableEmbedding else {"n_sets": 2}
    ranges = torch.tensor([[0.0, 0], [0, 0], [1, 0.5], [0, 0], [0, 0], [0, 2], [0, 0]])
    args = {
        "vocabulary_sizes": [],
        "bin_sizes": [4, 3],
        "n_numeric": 3,
        "embedding_dim": 1,
        "bin_dim": 2,
        "sparse": False,
        "binned": [2, 0],
        **more,
    }
    torch.manual_seed(0)
    line = kind(**args, bin_ranges=ranges)
    plain = kind(**args)
    plain.load_state_dict(line.state_dict())
    ids = torch.empty(4, 0, dtype=torch.int32)
    # Bin 2 of the first number lies from 1 to 3 of the scaled third column.
    bins = torch.tensor([[2, 6], [2, 6], [2, 6], [3, 4]], dtype=torch.int32)
    numeric = torch.tensor([[9.0, 9, 1], [9, 9, 2], [9, 9, 3], [9, 9, 9]])
    found = line(ids, bins, numeric)[..., :2]
    following = (bins + 1).clamp_max(6)
    here, after = (plain(ids, b, numeric)[..., :2] for b in (bins, following))
    torch.testing.assert_close(found[..., 0, :], here[..., 0, :])
    torch.testing.assert_close(found[..., 1, :], (here + after)[..., 1, :] / 2)
    torch.testing.assert_close(found[..., 2, :], after[..., 2, :])
    torch.testing.assert_close(found[..., 3, :], here[..., 3, :])


def test_bins_start_as_wide_as_they_are_told():
    args = {
        "vocabulary_sizes": [],
        "bin_sizes": [5000],
        "n_numeric": 1,
        "embedding_dim": 1,
        "bin_dim": 4,
        "sparse": False,
    }
    for start in (0.1, 1.0):
        std = TableEmbedding(**args, bin_start=start).bins.detach().std().item()
        assert std == pytest.approx(start / 2, rel=0.05)


def test_bins_have_a_rate_of_their_own_where_it_differs():
    assert make().own_rates() == []
    slow = make(bin_rate=0.3)
    assert [(id(p), f) for p, f in slow.own_rates()] == [(id(slow.bins), 0.3)]
    assert make(n_bins=0, bin_rate=0.3).own_rates() == []
