"""Searches on clusters: real ones, of two processes on this machine."""

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV, KFold

from skmtl import MMoE, OutputWeightSearchCV, ShareBottom
from skmtl.datasets import make_funnel
from skmtl.inspection import transfer_report
from tests.training.in_processes import run_on_ray
from tests.training.test_processes import folder, read

__all__ = ["folder"]

pytestmark = pytest.mark.long
SMALL = {"max_iter": 1, "batch_size": 512, "random_state": 0}
RANKERS = {
    "MMoE": MMoE(n_experts=2, expert_units=(8,), **SMALL),
    "SingleTask": ShareBottom(bottom_units=(8,), **SMALL),
}


class Counted(pd.DataFrame):
    """Counts how often it is sent."""

    _metadata = ("sent",)

    @property
    def _constructor(self):
        return pd.DataFrame

    def __reduce__(self):
        self.sent.append(1)
        return pd.DataFrame, ({name: self[name] for name in self},)


@pytest.fixture
def log():
    log = make_funnel(2000, random_state=0)
    X = Counted(log.data)
    X.sent = []
    return X, log.target[["click", "cart"]]


def rates(log, **params):
    search = GridSearchCV(
        RANKERS["MMoE"],
        {"learning_rate": [0.003, 0.01, 0.03]},
        cv=KFold(2),
        refit=False,
        **params,
    )
    return search.fit(*log).cv_results_["mean_test_score"]


def output_weights(log, **params):
    search = OutputWeightSearchCV(
        RANKERS["MMoE"],
        weights={"click": [0, 1], "cart": [1, 3]},
        scoring="auc:cart",
        cv=KFold(3),
        **params,
    )
    return search.fit(*log).cv_results_["mean_test_score"]


def transfer(log, **params):
    report = transfer_report(RANKERS, *log, cv=KFold(2), **params)
    return report.drop(columns="fit_time")


def test_dask_gives_the_same_and_gets_the_table_once(log):
    distributed = pytest.importorskip("distributed")
    expected = [f(log) for f in (rates, output_weights, transfer)]
    assert not log[0].sent
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    )
    with cluster, distributed.Client(cluster), parallel_config("dask"):
        np.testing.assert_array_equal(rates(log, n_jobs=2), expected[0])
        assert len(log[0].sent) == 1
        np.testing.assert_array_equal(output_weights(log, n_jobs=2), expected[1])
        assert len(log[0].sent) == 2
        pd.testing.assert_frame_equal(transfer(log, n_jobs=2), expected[2])
        assert len(log[0].sent) == 3


@pytest.fixture(scope="module")
def ray():
    """Ray has no wheels for the newest Python; where it is installed, it runs."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_worker_niceness", "0")  # or a busy machine starves them
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        try:
            yield ray
        finally:
            ray.shutdown()


@pytest.mark.filterwarnings("ignore")  # of Ray itself
def test_ray_gives_the_same_and_takes_the_table_from_its_store(log, ray):
    from ray.util.joblib import register_ray

    class Stored(pd.DataFrame):
        """A table that is sent as a reference to the object store."""

        _metadata = ("reference",)

        def __reduce__(self):
            return ray.get, (self.reference,)

    expected = rates(log)
    register_ray()
    X = Stored(log[0])
    X.reference = ray.put(log[0])
    with parallel_config("ray"):
        found = rates((X, log[1]), n_jobs=2)
    np.testing.assert_array_equal(found, expected)
    assert len(log[0].sent) == 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("ray")
def test_ray_starts_the_same_fits_as_torchrun(folder):
    # From a path relative to this process, not to the workers.
    ranker, held = run_on_ray(folder)
    fits = read(folder, "fits")[0]
    for name in ("source", "MMoE"):  # the second of a table in memory
        on_ray = np.load(folder / f"ray-{name}.npz")
        assert on_ray.files
        for key in on_ray:
            np.testing.assert_array_equal(fits[f"{name}/{key}"], on_ray[key])
    assert ranker.callbacks is held
    assert ranker.scratch_dir == "."
    assert held[0].path == "saved"
    assert (folder / "here" / "saved").is_dir()
