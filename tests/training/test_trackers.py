"""skorch's callbacks for trackers get numbers for every task."""

import math

import pytest
from skorch.callbacks import MlflowLogger, TensorBoard, WandbLogger

from skmtl import ShareBottom

# The entries of the history that hold a list, a number for each task.
LISTS = [
    "train_task_loss",
    "valid_task_loss",
    "train_task_auc",
    "valid_task_auc",
    "loss_weight",
]


def fitted(impressions, callback):
    ranker = ShareBottom(
        bottom_units=(8,),
        tower_units=(),
        max_iter=3,
        early_stopping=True,
        callbacks=[callback],
        random_state=0,
    )
    return ranker.fit(*impressions)


def wanted(ranker, key):
    return ranker.net_.history[:, key]


def test_tensorboard(impressions, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    ranker = fitted(impressions, TensorBoard(SummaryWriter(tmp_path)))
    events = EventAccumulator(str(tmp_path)).Reload()
    for task in ("click", "cart"):
        for key in (f"valid_auc_{task}", f"train_loss_{task}"):
            logged = events.Scalars(f"Loss/{key}")
            assert [e.step for e in logged] == [1, 2, 3]
            assert [e.value for e in logged] == pytest.approx(wanted(ranker, key))
    tags = events.Tags()["scalars"]
    assert "Loss/valid_loss" in tags
    assert not {f"Loss/{key}" for key in LISTS} & set(tags)


def test_mlflow_gets_numbers_only(impressions):
    class Client:
        """Refuses what MLflow's client refuses."""

        logged: dict[str, list[float]] = {}  # noqa: RUF012

        def log_metric(self, run_id, key, value, step):
            assert math.isfinite(float(value))
            self.logged.setdefault(key, []).append(value)

        def set_terminated(self, run_id):
            pass

    class Run:
        class info:  # noqa: N801
            run_id = "1"

    callback = MlflowLogger(Run(), Client(), create_artifact=False, keys_ignored=LISTS)
    ranker = fitted(impressions, callback)
    assert Client.logged["valid_auc_cart"] == wanted(ranker, "valid_auc_cart")
    assert Client.logged["valid_loss"] == wanted(ranker, "valid_loss")


def test_weights_and_biases(impressions):
    class Run:
        logged = ()

        def watch(self, module):
            pass

        def log(self, values):
            Run.logged += (values,)

    callback = WandbLogger(Run(), save_model=False, keys_ignored=LISTS)
    ranker = fitted(impressions, callback)
    seen = [values["valid_auc_cart"] for values in Run.logged]
    assert seen == wanted(ranker, "valid_auc_cart")
    assert not set(LISTS) & set(Run.logged[0])


@pytest.mark.filterwarnings("ignore")  # of the trackers themselves
class TestRealTrackers:
    """The trackers are not in the test extra; where one is installed, it is run."""

    def test_mlflow(self, impressions, tmp_path):
        mlflow = pytest.importorskip("mlflow")
        client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/runs.db")
        run = client.create_run(client.create_experiment("skmtl"))
        callback = MlflowLogger(run, client, create_artifact=False, keys_ignored=LISTS)
        ranker = fitted(impressions, callback)
        logged = client.get_metric_history(run.info.run_id, "valid_auc_cart")
        values = [m.value for m in sorted(logged, key=lambda m: m.step)]
        assert values == pytest.approx(wanted(ranker, "valid_auc_cart"))

    def test_weights_and_biases(self, impressions, tmp_path):
        wandb = pytest.importorskip("wandb")
        with wandb.init(mode="offline", dir=tmp_path) as run:
            callback = WandbLogger(run, save_model=False, keys_ignored=LISTS)
            ranker = fitted(impressions, callback)
            last = run.summary["valid_auc_cart"]
        assert last == pytest.approx(wanted(ranker, "valid_auc_cart")[-1])

    def test_sacred(self, impressions):
        sacred = pytest.importorskip("sacred")
        from skorch.callbacks import SacredLogger

        class Seen(sacred.observers.RunObserver):
            logged: dict[str, list[float]] = {}  # noqa: RUF012

            def log_metrics(self, metrics_by_name, info):
                for name, metric in metrics_by_name.items():
                    self.logged.setdefault(name, []).extend(metric["values"])

        experiment = sacred.Experiment("skmtl", save_git_info=False)
        experiment.observers.append(Seen())
        rankers = []

        @experiment.main
        def main():
            callback = SacredLogger(experiment, keys_ignored=LISTS)
            rankers.append(fitted(impressions, callback))

        experiment.run()
        assert Seen.logged["valid_auc_cart"] == wanted(rankers[0], "valid_auc_cart")
