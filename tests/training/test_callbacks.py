"""Callbacks of scikit-learn and skorch see every epoch."""

import pytest
from skorch.callbacks import Callback

from skmtl._sklearn import HAS_CALLBACKS, NoCallbacks
from tests.rankers.makers import small_mmoe


@pytest.mark.skipif(not HAS_CALLBACKS, reason="scikit-learn before 1.9")
def test_scikit_learn_callbacks_see_every_epoch(impressions):
    class Recorder:
        def __init__(self):
            self.names = []

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            self.names.append("teardown")

        def on_fit_task_begin(self, estimator, context):
            self.names.append(f"begin {context.task_name}")

        def on_fit_task_end(self, estimator, context):
            return self.names.count("begin epoch") == 2

    recorder = Recorder()
    X, y = impressions
    ranker = small_mmoe(max_iter=50).set_callbacks(recorder).fit(X, y)
    assert recorder.names[:2] == ["begin fit", "begin epoch"]
    assert recorder.names[-1] == "teardown"
    assert ranker.n_iter_ == 2


def test_skorch_callbacks_run(impressions):
    class Count(Callback):
        seen: list[int] = []  # noqa: RUF012

        def on_epoch_end(self, net, **_):
            self.seen.append(len(net.history))

    X, y = impressions
    small_mmoe(callbacks=[Count()]).fit(X, y)
    assert Count.seen == [1, 2, 3]


@pytest.mark.parametrize("entry", [3, ("name", 3), dict, (Callback(), "name")])
def test_callbacks_that_are_none_are_refused(impressions, entry):
    with pytest.raises(TypeError, match=r"callbacks\[1\] must be a callback of skorch"):
        small_mmoe(callbacks=[("mine", Callback), entry]).fit(*impressions)


def test_verbose_prints_a_line_per_epoch(impressions, capsys):
    X, y = impressions
    small_mmoe(verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "click" in lines[0]
    assert "cart" in lines[0]
    small_mmoe().fit(X, y)
    assert not capsys.readouterr().out


def test_without_callbacks_of_scikit_learn_the_error_says_what_to_do():
    class Old(NoCallbacks):
        pass

    with pytest.raises(RuntimeError, match=r"1\.9 or newer.*or use verbose=1"):
        Old().set_callbacks()
    context = Old()._init_callback_context(max_subtasks=3)
    context.call_on_fit_task_begin(estimator=None)
    inner = context.subcontext(task_name="epoch")
    assert inner.call_on_fit_task_end(estimator=None) is False
    with inner.propagate_callback_context(None):
        pass
