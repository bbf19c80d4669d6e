"""Networks of parts that users choose, solvers of TorchJD, and what is a user's own."""

import numpy as np
import pytest
import torch
from skorch.callbacks import GradientNormClipping
from torch import nn

import skmtl
from skmtl import Checkpoint, MultiTaskRanker
from skmtl.modules import (
    ChainedTowers,
    CrossStitchBottoms,
    ExpertMixture,
    ProductTowers,
    ProgressiveExtraction,
    SharedBottom,
    SoftlySharedBottoms,
    TransferTowers,
)
from skmtl.weighting import LossWeighting, TorchJDWeighting
from tests.persistence.conftest import IDS, check_equal, make_table, small_ranker

FEW = {
    "categorical_features": IDS,
    "embedding_dim": 4,
    "n_bins": 8,
    "max_iter": 1,
    "batch_size": 64,
    "random_state": 0,
}


def same(ranker, unseen, path, *, custom_objects=None):
    """Save, load, and compare predictions before and after more training."""
    ranker.save(path, custom_objects=custom_objects)
    loaded = type(ranker).load(path, custom_objects=custom_objects)
    check_equal(loaded, ranker, unseen)
    return loaded


NETWORKS = {
    "default": {},
    "mixture": {
        "sharing": ExpertMixture,
        "sharing__n_experts": 2,
        "sharing__expert_units": (8,),
    },
    "chain": {"towers": ChainedTowers, "towers__parents": [[], [0]]},
    "product": {
        "sharing": SharedBottom,
        "sharing__units": [8],
        "towers": ProductTowers,
        "towers__parents": [[], [0]],
    },
    "transfer": {
        "towers": TransferTowers,
        "towers__parents": [[], [0]],
        "towers__calibrator_weight": 0.1,
    },
    "stitch": {
        "sharing": CrossStitchBottoms,
        "sharing__units": (8,),
        "sharing__own_weight": 0.9,
    },
    "soft": {
        "sharing": SoftlySharedBottoms,
        "sharing__units": (8,),
        "sharing__distance": "l2",
        "sharing__strength": 0.1,
    },
    "progressive": {
        "sharing": ProgressiveExtraction,
        "sharing__n_task_experts": 1,
        "sharing__n_shared_experts": 1,
        "sharing__n_levels": 2,
        "sharing__expert_units": (8,),
    },
}


@pytest.mark.parametrize("network", NETWORKS)
def test_parts_of_ours(network, table, unseen, tmp_path):
    ranker = MultiTaskRanker(tower_units=(4,), **FEW, **NETWORKS[network]).fit(*table)
    loaded = same(ranker, unseen, tmp_path / "ranker")
    assert loaded.get_params().keys() == ranker.get_params().keys()
    assert loaded.sharing is ranker.sharing
    assert loaded.towers is ranker.towers


@pytest.mark.parametrize("name", ["ASGD", "Adafactor", "NAdam", "RMSprop", "SGD"])
def test_optimizers_of_torch(name, table, unseen, tmp_path):
    cls = getattr(torch.optim, name)
    ranker = MultiTaskRanker(optimizer=cls, **FEW).fit(*table)
    assert same(ranker, unseen, tmp_path / "ranker").optimizer is cls


def test_optimizers_with_parameters_of_their_own(table, unseen, tmp_path):
    params = {"optimizer": torch.optim.NAdam, "optimizer__betas": (0.8, 0.9)}
    ranker = MultiTaskRanker(**params, **FEW).fit(*table)
    loaded = same(ranker, unseen, tmp_path / "ranker")
    assert loaded.get_params()["optimizer__betas"] == (0.8, 0.9)


def test_own_optimizers_are_named(tmp_path):
    class NAdam(torch.optim.NAdam):
        pass

    with pytest.raises(ValueError, match="optimizer is the class 'NAdam'"):
        MultiTaskRanker(optimizer=NAdam).save(tmp_path / "ranker")


def test_parts_that_are_not_known_are_named(tmp_path):
    class Other(ExpertMixture):
        pass

    for part, message in [
        ({"sharing": Other}, "sharing is the class 'Other'"),
        ({"towers": lambda width: nn.Linear(width, 2)}, "towers is the function"),
        ({"sharing": nn.Linear(3, 2)}, "sharing is a torch.nn.modules.linear.Linear"),
        ({"sharing": MultiTaskRanker}, "sharing is the class 'MultiTaskRanker'"),
    ]:
        with pytest.raises(ValueError, match=f"{message}.*custom_objects"):
            MultiTaskRanker(**part).save(tmp_path / "ranker")


class ScaledGates(ExpertMixture):
    """A user's own class, with a plain attribute that has no value to compare."""

    def __init__(self, **sizes):
        super().__init__(**sizes)
        self.scale = nn.Parameter(nn.init.trunc_normal_(torch.empty(1)))
        self.anything = object()

    def gate_weights(self, x):
        return super().gate_weights(x) * self.scale


def body(width):
    return nn.Sequential(nn.Linear(width, 8), nn.ReLU())


class RootLoss(LossWeighting):
    """A strategy that remembers."""

    def __init__(self, power=0.5):
        super().__init__()
        self.power = power

    def start(self, tasks):
        super().start(tasks)
        self.register_buffer("largest", torch.zeros(()))
        return self

    def forward(self, losses):
        self.largest = torch.maximum(self.largest, losses.detach().max())
        return (losses / self.largest).clamp(min=1e-12).pow(self.power).sum()


class OwnShareBottom(skmtl.ShareBottom):
    """A user's own ranker."""


def test_own_classes_and_functions(table, unseen, tmp_path):
    sizes = {"sharing__n_experts": 2, "sharing__expert_units": (8,)}
    for given, more in [(ScaledGates, sizes), (body, {})]:
        own = {"mine": given}
        ranker = MultiTaskRanker(sharing=given, **FEW, **more).fit(*table)
        before = torch.random.get_rng_state()
        loaded = same(ranker, unseen, tmp_path / "ranker", custom_objects=own)
        assert loaded.sharing is given
        assert torch.equal(before, torch.random.get_rng_state())


def test_own_modules(table, unseen, tmp_path):
    embedding = MultiTaskRanker(**FEW).fit(*table).net_.module_.embedding
    module = nn.Sequential(nn.Linear(embedding.width, 8), nn.ReLU())
    ranker = MultiTaskRanker(sharing=module, **FEW).fit(*table)
    own = {"mine": module}
    assert same(ranker, unseen, tmp_path / "a", custom_objects=own).sharing is module


def test_own_strategies_rankers_and_callbacks(table, unseen, tmp_path):
    clip = GradientNormClipping(1.0)
    own = {"RootLoss": RootLoss, "wide": OwnShareBottom, "clip": clip}
    ranker = OwnShareBottom(
        loss_weight=RootLoss(0.7), callbacks=[clip], bottom_units=(8,), **FEW
    ).fit(*table)
    loaded = same(ranker, unseen, tmp_path / "ranker", custom_objects=own)
    assert type(loaded) is OwnShareBottom
    assert loaded.callbacks[0] is clip
    assert loaded.loss_weight.power == 0.7
    weighting = loaded.net_.criterion_.weighting
    assert torch.equal(weighting.largest, ranker.net_.criterion_.weighting.largest)


def test_custom_objects_must_be_given_again(table, tmp_path):
    path = tmp_path / "ranker"
    ranker = MultiTaskRanker(sharing=body, **FEW).fit(*table)
    ranker.save(path, custom_objects={"body": body})
    for own in (None, {"other": body}):
        with pytest.raises(ValueError, match="'body' among its custom_objects"):
            skmtl.load(path, custom_objects=own)
    OwnShareBottom().save(path, custom_objects={"wide": OwnShareBottom})
    for wrong in (body, dict, 3):
        with pytest.raises(ValueError, match=r"custom_objects\['wide'\] is not the cl"):
            skmtl.load(path, custom_objects={"wide": wrong})
    # The file's own classes are never looked up among them.
    skmtl.MMoE().save(path)
    assert type(skmtl.load(path, custom_objects={"MMoE": body})) is skmtl.MMoE


def solvers():
    jd = pytest.importorskip("torchjd.aggregation")
    scalar = pytest.importorskip("torchjd.scalarization")
    two = torch.tensor([0.5, 1.5])
    return {
        "aggregator": jd.UPGrad(torch.tensor([1.0, 2.0])),
        "cagrad": jd.CAGradWeighting(c=0.3),
        "constant": jd.Constant(two),
        "cosmos": scalar.COSMOS(0.2, weights=two),
        "dwa": scalar.DWA(1.5),
        "fairgrad": jd.FairGrad(2.0, max_iters=3),
        "gradvac": jd.GradVac(beta=0.4),
        "imtll": scalar.IMTLL(2),
        "mean": scalar.GeometricMean(),
        "momentum": jd.CRMOGMWeighting(jd.MGDAWeighting(max_iters=7), alpha=0.8),
        "nash": jd.NashMTL(2, max_norm=0.9),
        "pbi": scalar.PBI(0.5, weights=two),
        "pcd": jd.PCD(tau=0.1),
        "preferring": TorchJDWeighting(jd.DualProj(), preference=[1, 2]),
        "stch": scalar.STCH(0.1, weights=two),
        "uw": scalar.UW(2),
    }


NAMES = [
    "aggregator", "cagrad", "constant", "cosmos", "dwa", "fairgrad", "gradvac", "imtll",
    "mean", "momentum", "nash", "pbi", "pcd", "preferring", "stch", "uw",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_solvers_of_torchjd(name, table, tmp_path):
    assert sorted(solvers()) == NAMES
    X, more = table[0][["price", "age"]], make_table(200, 2)
    ranker = small_ranker("ShareBottom", loss_weight=solvers()[name])
    ranker.fit(X, table[1]).save(tmp_path / "ranker")
    loaded = skmtl.load(tmp_path / "ranker")
    assert type(loaded.loss_weight) is type(ranker.loss_weight)
    assert repr(loaded.loss_weight) == repr(ranker.loss_weight)
    for one in (loaded, ranker):
        one.partial_fit(more[0][["price", "age"]], more[1])
    np.testing.assert_array_equal(
        loaded.predict_task_proba(X), ranker.predict_task_proba(X)
    )
    np.testing.assert_array_equal(loaded.loss_weight_, ranker.loss_weight_)


def test_the_checkpoint_of_a_fit(table, tmp_path):
    checkpoint = Checkpoint(tmp_path / "run", every="10min")
    X = table[0][["price", "age"]]
    ranker = small_ranker("MMoE", callbacks=[checkpoint]).fit(X, table[1])
    ranker.save(tmp_path / "ranker")
    loaded = skmtl.load(tmp_path / "ranker")
    assert loaded.callbacks[0].every == "10min"
    loaded.fit(X, table[1])
    np.testing.assert_array_equal(
        loaded.predict_task_proba(X), ranker.predict_task_proba(X)
    )
