"""Optimisers of torch and their parameters, as in skorch."""

import pickle

import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold

from skmtl import MMoE, MultiTaskRanker, load
from skmtl.training.optimizers import LazyAdam
from tests.rankers.makers import MAKERS, ON_IMPRESSIONS

SMALL = {**ON_IMPRESSIONS, "max_iter": 2, "expert_units": (8,), "tower_units": (4,)}
SMALL["batch_size"] = 128


def dense(ranker):
    return ranker.net_.all_optimizers[0]


@pytest.mark.parametrize("kind", ["MMoE", "ESMM", "MultiTaskRanker"])
def test_a_class_of_torch(kind, impressions):
    X, y = impressions
    make = MAKERS[kind]
    ranker = make(
        optimizer=torch.optim.NAdam, optimizer__betas=(0.8, 0.9), weight_decay=0.01
    ).fit(X, y)
    assert type(dense(ranker)) is torch.optim.NAdam
    group = dense(ranker).param_groups[0]
    assert (group["betas"], group["weight_decay"]) == ((0.8, 0.9), 0.01)
    assert group["lr"] == ranker.learning_rate
    # Tables of ids keep theirs.
    assert type(ranker.net_.all_optimizers[1]) is LazyAdam
    for other in (clone(ranker).fit(X, y), pickle.loads(pickle.dumps(ranker))):
        assert_array_equal(other.predict_task_proba(X), ranker.predict_task_proba(X))


def test_named_optimizers_take_parameters_too(impressions):
    X, y = impressions
    plain = MMoE(optimizer="sgd", optimizer__momentum=0.9, **SMALL).fit(X, y)
    default = MMoE(optimizer="sgd", **SMALL).fit(X, y)
    assert_array_equal(plain.predict_task_proba(X), default.predict_task_proba(X))
    other = MMoE(optimizer="sgd", optimizer__nesterov=True, **SMALL).fit(X, y)
    assert (other.predict_task_proba(X) != default.predict_task_proba(X)).any()
    betas = MMoE(optimizer__betas=(0.5, 0.9), **SMALL).fit(X, y)
    assert dense(betas).param_groups[0]["betas"] == (0.5, 0.9)


def test_named_optimizers_with_parameters_can_be_saved(impressions, tmp_path):
    X, y = impressions
    ranker = MMoE(optimizer__betas=(0.5, 0.9), **SMALL).fit(X, y)
    ranker.save(tmp_path / "ranker")
    same = load(tmp_path / "ranker")
    assert same.get_params()["optimizer__betas"] == (0.5, 0.9)
    assert_array_equal(
        same.partial_fit(X, y).predict_task_proba(X),
        ranker.partial_fit(X, y).predict_task_proba(X),
    )

    class Own(torch.optim.NAdam):
        pass

    own = MMoE(optimizer=Own, **SMALL).fit(X, y)
    with pytest.raises(ValueError, match=r"MMoE\.optimizer is the class 'Own'"):
        own.save(tmp_path / "own")


def test_the_step_is_that_of_the_class(impressions):
    """AdamW of torch takes the same steps as ours on dense layers."""
    X, y = impressions
    ours = MMoE(weight_decay=0.1, **SMALL).fit(X, y)
    torchs = MMoE(optimizer=torch.optim.AdamW, weight_decay=0.1, **SMALL).fit(X, y)
    for one, other in zip(
        ours.net_.module_.parameters(), torchs.net_.module_.parameters(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_a_search_over_parameters_of_the_optimizer(impressions):
    search = GridSearchCV(
        MMoE(optimizer=torch.optim.SGD, **SMALL),
        {"optimizer__momentum": [0.0, 0.9], "optimizer__nesterov": [False]},
        cv=KFold(2),
        error_score="raise",
    ).fit(*impressions)
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] != scores[1]
    ranker = search.best_estimator_
    momentum = search.best_params_["optimizer__momentum"]
    assert dense(ranker).param_groups[0]["momentum"] == momentum


def test_none_removes_a_parameter(impressions):
    ranker = MMoE(optimizer=torch.optim.SGD, optimizer__momentum=0.9, **SMALL)
    ranker.set_params(optimizer="adam", optimizer__momentum=None).fit(*impressions)
    assert "momentum" not in dense(ranker).param_groups[0]


def test_training_continues_with_it(impressions):
    X, y = impressions
    ranker = MMoE(optimizer=torch.optim.RMSprop, warm_start=True, **SMALL).fit(X, y)
    ranker.set_params(learning_rate=1e-3).fit(X, y).partial_fit(X, y)
    assert ranker.n_iter_ == 5
    assert dense(ranker).param_groups[0]["lr"] == pytest.approx(1e-3)


REFUSED = [
    ({"optimizer": torch.optim.LBFGS}, ValueError, "LBFGS evaluates the loss several"),
    ({"optimizer__momentum": 0.9}, ValueError, r"not a parameter of LazyAdam.*'betas'"),
    ({"optimizer__lr": 0.1}, ValueError, "use learning_rate, which applies"),
    ({"optimizer__weight_decay": 0.1}, ValueError, "use weight_decay, which applies"),
    (
        {"optimizer": torch.optim.SGD, "optimizer__betas": (0.9, 0.9)},
        ValueError,
        r"optimizer__betas is not .* of SGD.*set_params\(optimizer__betas=None\)",
    ),
    ({"optimizer": "rmsprop"}, ValueError, "'optimizer' parameter of MMoE must be"),
]


@pytest.mark.parametrize(("params", "error", "message"), REFUSED)
def test_what_is_refused(params, error, message, impressions):
    ranker = MMoE(**SMALL).fit(*impressions)
    before = ranker.predict_task_proba(impressions[0])
    with pytest.raises(error, match=message):
        ranker.set_params(**params).fit(*impressions)
    assert_array_equal(ranker.predict_task_proba(impressions[0]), before)


NAMES = [
    ("lr", "Here it is learning_rate"),
    ("hidden_layer_sizes", "bottom_units or expert_units"),
    ("n_estimators", "Here it is max_iter"),
    ("class_weight", "label_weight"),
    ("module__n_experts", "Here it is n_experts, without module__"),
    ("module__depth", "hyperparameter of the ranker itself"),
    ("iterator_train__shuffle", "batch_size"),
    ("callbacks__lr__gamma", r"set_params\(callbacks__lr__gamma=...\)"),
    ("n_expert", "Did you mean 'n_experts'"),
    ("zzz", r"It takes \['average_weights'"),
]


@pytest.mark.parametrize(("name", "message"), NAMES)
def test_names_of_other_libraries(name, message):
    with pytest.raises(TypeError, match=rf"keyword argument '{name}'\. .*{message}"):
        MMoE(**{name: 1})
    with pytest.raises(TypeError, match="unexpected keyword"):
        MultiTaskRanker(**{name: 1})
