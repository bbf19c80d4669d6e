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
