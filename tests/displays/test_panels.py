"""Labels that all displays share."""

import pytest

from skmtl.displays._panels import metric_label
from skmtl.metrics import get_task_scorer_names


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("auc:revenue", "AUC of revenue"),
        ("gauc:click", "AUC within groups of click"),
        ("ndcg@10:order", "NDCG@10 of order"),
        ("mean_auc", "mean AUC"),
        ("min_gauc", "lowest AUC within groups"),
        ("hit_rate:cart", "hit rate of cart"),
        ("group_roc_auc", "AUC within groups"),
        ("my_metric:a_b", "my metric of a_b"),
        ("score", "score"),
    ],
)
def test_metrics_are_named_in_words(name, label):
    assert metric_label(name) == label


def test_no_scorer_has_an_underscore_on_an_axis():
    names = get_task_scorer_names()
    assert names
    for name in names:
        assert "_" not in metric_label(name), name
