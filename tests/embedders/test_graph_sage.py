"""GraphSAGEEmbedder: the graph, the layers, new items."""

from threading import Event, Thread

import numpy as np
import pandas as pd
import pytest
import torch

from skmtl.embedders import GraphSAGEEmbedder, _sage_net
from skmtl.embedders._graph import Graph
from skmtl.embedders._log import Log
from skmtl.encoding._vocabulary import as_keys
from skmtl.modules import TableEmbedding
from skmtl.training.computing import seeded


def mean_layer(conv, around, own):
    """One layer of one node in numpy, from eq. of GraphSAGE's mean aggregator."""
    to = conv.lin_l.weight.detach().numpy(), conv.lin_l.bias.detach().numpy()
    return (
        around.mean(axis=0) @ to[0].T
        + to[1]
        + own @ conv.lin_r.weight.detach().numpy().T
    )


def test_pairs_by_hand():
    log = Log(np.array([0, 1, 2, 0, 3]), np.array([0, 0, 0, 1, 1]))
    left, right = log.pairs(2)
    found = sorted(zip(left.tolist(), right.tolist(), strict=True))
    expected = [(0, 1), (1, 2), (0, 2), (0, 3)]
    assert found == sorted(expected + [(b, a) for a, b in expected])


def test_events_sort_by_group_time_and_row():
    log = Log.of(
        np.array([5, 6, 7, -1, 8]),
        pd.Series(["b", "a", "b", "a", None], name="g"),
        pd.Series([2, 1, 2, 0, 0], name="t"),
    )
    assert log.codes.tolist() == [5, 7, 6]
    assert [s.tolist() for s in log.sequences()] == [[5, 7], [6]]


def random_graph(rng, n=30, edges=90):
    nodes = rng.integers(0, n - 2, edges)  # the last two have no neighbour
    return Graph.of(nodes, rng.integers(0, n - 2, edges), n), nodes


def test_samples_are_neighbors_drawn_alike(rng):
    graph, nodes = random_graph(rng)
    chosen = np.array([int(nodes[0]), 29])
    drawn = graph.sample(chosen, 40_000, rng)
    own = graph.indices[graph.indptr[chosen[0]] : graph.indptr[chosen[0] + 1]]
    share = np.bincount(drawn[0], minlength=30) / 40_000
    np.testing.assert_allclose(
        share, np.bincount(own, minlength=30) / len(own), atol=0.02
    )
    assert (drawn[1] == 29).all()  # alone: its own neighbour


def test_walks_follow_edges(rng):
    line = np.arange(5)  # 0 -> 1 -> 2 -> 3 -> 4
    graph = Graph.of(line[:-1], line[1:], 5)
    ends = graph.walk(np.zeros(9000, dtype=int), 3, rng)
    share = np.bincount(ends, minlength=5) / 9000
    np.testing.assert_allclose(share, [0, 1 / 3, 1 / 3, 1 / 3, 0], atol=0.03)


def reference_vectors(embedder, graph, n):
    """All layers in numpy, from all neighbours of each node."""
    h = embedder._known[0]
    for k, conv in enumerate(embedder._net.convs):
        rows = [
            mean_layer(
                conv, h[graph.indices[graph.indptr[i] : graph.indptr[i + 1]]], h[i]
            )
            for i in range(n)
        ]
        last = k == len(embedder._net.convs) - 1
        h = np.stack(rows) if last else np.maximum(np.stack(rows), 0)
    return h / np.linalg.norm(h, axis=1, keepdims=True)


@pytest.mark.parametrize("n_neighbors", [(4,), (4, 3), (3, 2, 2)])
def test_vectors_are_those_of_numpy(log, n_neighbors):
    embedder = GraphSAGEEmbedder(
        embedding_dim=8, n_neighbors=n_neighbors, max_iter=1, random_state=0
    ).fit(log)
    codes = embedder._vocabulary.rows(as_keys(log["item_id"], "item_id")) - 1
    n = len(embedder.embeddings_)
    events = Log.of(codes, log["user_id"], None)
    graph = Graph.of(*events.pairs(5), n)
    expected = reference_vectors(embedder, graph, n)
    np.testing.assert_allclose(embedder.embeddings_, expected, rtol=1e-4, atol=1e-5)


def test_a_new_item_is_the_mean_of_what_it_is_met_with(log):
    embedder = GraphSAGEEmbedder(embedding_dim=8, random_state=0).fit(log)
    known = embedder.embeddings_.index[[3, 7]]
    new = pd.DataFrame({"user_id": -1, "item_id": [known[0], 999, known[1]]})
    new = new.assign(day=0, kind=log["kind"].iloc[0], price=0.0)
    table = embedder.embed(new)
    assert list(table.index) == [known[0], 999, known[1]]
    pd.testing.assert_frame_equal(
        table.loc[known], embedder.embeddings_.loc[known], check_freq=False
    )
    own = embedder._net.inputs.ids.tables[0][0].detach().numpy()
    for k, conv in enumerate(embedder._net.convs):
        own = mean_layer(conv, embedder._known[k][[3, 7]], own)
        own = np.maximum(own, 0) if k == 0 else own / np.linalg.norm(own)
    np.testing.assert_allclose(table.loc[999], own, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(embedder.transform(new)[1], table.loc[999])


@pytest.mark.parametrize("features", [["price"], ["kind", "price"]])
def test_features_alone_place_new_items(log, features):
    embedder = GraphSAGEEmbedder(
        feature_columns=features, embedding_dim=8, random_state=0
    ).fit(log)
    kinds = np.repeat(np.arange(4), 5)
    new = pd.DataFrame({"user_id": np.arange(20) + 1000, "item_id": kinds * 100 + 50})
    new["item_id"] += np.tile(np.arange(5), 4)
    new["kind"] = pd.Categorical(kinds, categories=range(4))
    new["price"] = 10.0 * kinds + 0.5
    vectors = embedder.embed(new.assign(day=0))
    similarity = vectors.to_numpy() @ embedder.embeddings_.to_numpy().T
    nearest = embedder.embeddings_.index.to_numpy()[similarity.argmax(1)] // 100
    assert (nearest == kinds).mean() > 0.9


def test_global_generators_are_left_alone(log):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    GraphSAGEEmbedder(max_iter=1, random_state=0).fit(log)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_it_waits_for_a_thread_that_draws_from_torch(log, monkeypatch):
    drawn = Event()

    def note(**sizes):
        drawn.set()
        return TableEmbedding(**sizes)

    embedder = GraphSAGEEmbedder(max_iter=1, random_state=0).fit(log[:500])
    monkeypatch.setattr(_sage_net, "TableEmbedding", note)
    thread = Thread(target=embedder.fit, args=(log[:500],))
    with seeded(0, "cpu"):
        thread.start()
        assert not drawn.wait(1.0)
    thread.join()
    assert drawn.is_set()


def test_the_loss_falls(log):
    curve = GraphSAGEEmbedder(random_state=0, max_iter=4).fit(log).loss_curve_
    assert len(curve) == 4
    assert curve[-1] < curve[0]


@pytest.mark.parametrize("n_neighbors", [(), (0,), (3, 1.5)])
def test_sizes_of_samples_are_checked(log, n_neighbors):
    with pytest.raises(ValueError, match="n_neighbors must hold"):
        GraphSAGEEmbedder(n_neighbors=n_neighbors).fit(log)


def test_features_are_checked(log):
    with pytest.raises(ValueError, match="feature_columns names 'brand'"):
        GraphSAGEEmbedder(feature_columns=["brand"]).fit(log)
