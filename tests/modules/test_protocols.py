"""What training asks of the parts of a network, and what holds for subclasses."""

import copy

import pytest
import torch
from torch import nn

from skmtl.modules import (
    Embedding,
    EmbeddingExperts,
    ExpertMixture,
    Mixture,
    MultiTaskModule,
    ParallelTowers,
    ProgressiveExtraction,
    SharedBottom,
    Sharing,
    TaskBottoms,
    TaskLinear,
    Towers,
)
from skmtl.modules.layers import Dense
from tests.modules.reference import TASKS, WIDTH, batch, compose, embedding, tensors
from tests.weighting.conftest import make_batch, make_module, make_step

SIZES = {"n_tasks": TASKS, "width": WIDTH, "dropout": 0.0}


def bottom(kind=SharedBottom):
    return kind(units=[5], **SIZES)


def experts(kind=ExpertMixture, units=(5,)):
    return kind(
        n_experts=4, bottom_units=[], expert_units=units, gate_dropout=0.0, **SIZES
    )


def towers(kind=ParallelTowers):
    return kind(units=[4], **SIZES | {"width": 5})


def assert_trained_as_predicted(module):
    """The logits of training are those of prediction, and so is their gradient."""
    X = tensors(batch(0))
    representation, _ = module.split(*X)
    found = module.towers(representation)
    expected = module(*X)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    return expected


class Halved(SharedBottom):
    def forward(self, x):
        return super().forward(x) / 2


class HalvedMix(SharedBottom):
    def mix(self, x):
        representation, mixture = super().mix(x)
        return representation / 2, mixture


class HalvedExperts(ExpertMixture):
    def forward(self, x):
        return super().forward(x) / 2


class HalvedExpertsMix(ExpertMixture):
    def mix(self, x):
        representation, mixture = super().mix(x)
        return representation / 2, mixture


class Equal(ExpertMixture):
    """All experts have the same weight."""

    def mixture(self, x):
        weights, found = super().mixture(x)
        return torch.full_like(weights, 0.25), found


class EqualGates(ExpertMixture):
    def gate_weights(self, x):
        return torch.full_like(super().gate_weights(x), 0.25)


class Negative(ExpertMixture):
    def experts(self, x):
        return -super().experts(x)


class Halving:
    """A mixin, which is not a part itself."""

    def forward(self, x):
        return super().forward(x) / 2


class HalvedByMixin(Halving, SharedBottom):
    pass


class HalvedTwice(HalvedByMixin):
    """A subclass that changes nothing more."""


class EqualStill(Equal):
    """Likewise."""


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        (Halved, bottom),
        (HalvedMix, bottom),
        (HalvedByMixin, bottom),
        (HalvedTwice, bottom),
        (HalvedExperts, experts),
        (HalvedExpertsMix, experts),
        (Equal, experts),
        (EqualStill, experts),
        (EqualGates, experts),
        (Negative, experts),
    ],
    ids=lambda x: x.__name__,
)
def test_an_override_is_trained_and_predicted_with(kind, plain):
    torch.manual_seed(0)
    module = compose(plain(kind), towers())
    found = assert_trained_as_predicted(module)
    module.sharing.__class__ = {bottom: SharedBottom, experts: ExpertMixture}[plain]
    without = module(*tensors(batch(0)))
    assert not torch.allclose(found, without, rtol=1e-3)


def test_gate_weights_reported_are_those_used():
    torch.manual_seed(0)
    module = compose(experts(Equal), towers())
    x = module.embedding(*tensors(batch(0)))
    weights, outputs = module.sharing.mixture(x)
    expected = torch.bmm(weights, outputs).transpose(0, 1)
    representation, mixture = module.sharing.mix(x)
    torch.testing.assert_close(representation, expected)
    torch.testing.assert_close(module.sharing(x), expected)
    assert (mixture == 0.25).all()


def test_gates_of_ones_own_keep_the_one_step():
    """What is called on the fast way does not turn it off."""
    assert ExpertMixture.fuses
    assert EqualGates.fuses
    assert not Equal.fuses
    assert not EqualStill.fuses
    assert not Negative.fuses
    assert not ProgressiveExtraction.fuses


def test_a_subclass_may_say_it_again():
    class Fast(Equal):
        fuses = True

    assert Fast.fuses

    class Own(ParallelTowers):
        independent = True

        def forward(self, representation):
            return 2 * super().forward(representation)

    assert Own.independent
    assert not Own.broadcasts


class Second(ParallelTowers):
    """Logits that all depend on the second representation."""

    def forward(self, representation):
        return super().forward(representation) * representation[1].mean()


def test_towers_that_depend_on_each_other_get_gradients_of_their_own():
    assert ParallelTowers.independent
    assert ParallelTowers.broadcasts
    assert not Second.independent
    assert not Second.broadcasts
    module = make_module("experts")
    module.towers.__class__ = Second
    X, y = make_batch()
    step = make_step(module, X, y)
    step.through_towers(torch.ones(3, dtype=torch.float64), apart=True)
    cut = step.cut.detach().requires_grad_()
    logits = module.towers(cut)
    (expected,) = torch.autograd.grad(logits[:, 0].sum(), cut)
    assert expected[1].abs().sum() > 0  # of the first task at the second's
    gramian = step.gramian()
    rows = gradients_at_representation(module, step, y)
    overlap = step.mixture @ step.mixture.transpose(1, 2)
    found = torch.einsum("sibw,bij,tjbw->st", rows, overlap, rows)
    torch.testing.assert_close(gramian, found)


def gradients_at_representation(module, step, y):
    from tests.weighting.conftest import task_losses

    cut = step.cut.detach().requires_grad_()
    losses = task_losses(module.towers(cut), y)
    return torch.stack(
        [torch.autograd.grad(one, cut, retain_graph=True)[0] for one in losses]
    )


class Doubled(TaskLinear):
    def forward(self, x):
        return 2 * super().forward(x)


class DoubledDense(Dense):
    def forward(self, x):
        return 2 * super().forward(x)


class DoubledStack(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


def test_layers_of_ones_own_are_called():
    torch.manual_seed(0)
    module = compose(bottom(TaskBottoms), towers())
    before = module(*tensors(batch(0)))
    module.sharing.layers[0].__class__ = Doubled
    after = module(*tensors(batch(0)))
    assert not torch.allclose(before, after, rtol=1e-3)
    x = torch.randn(TASKS, 6, 5, dtype=torch.float64)
    head = towers().double()
    once = head(x)
    head.output.__class__ = Doubled
    torch.testing.assert_close(head(x), 2 * once)
    head = towers().double()
    hidden = head.hidden(x)
    head.hidden.__class__ = DoubledStack
    torch.testing.assert_close(head(x), head.output(2 * hidden).squeeze(2).t())


def test_an_expert_layer_of_ones_own_is_called():
    torch.manual_seed(0)
    sharing = experts().double()
    x = torch.randn(6, WIDTH, dtype=torch.float64)
    once = sharing(x)
    sharing.first[0].__class__ = DoubledDense
    torch.testing.assert_close(sharing(x), 2 * once)


@pytest.mark.parametrize("make", [bottom, experts, towers])
def test_hooks_of_layers_are_run(make):
    torch.manual_seed(0)
    part = make()
    x = torch.randn(TASKS, 6, 5) if make is towers else torch.randn(6, WIDTH)
    called = []
    layers = [m for m in part.modules() if isinstance(m, (Dense, TaskLinear))]
    before = part(x)
    for layer in layers:
        layer.register_forward_hook(lambda m, i, o: called.append(m))
    torch.testing.assert_close(part(x), before)
    assert {id(m) for m in called} == {id(m) for m in layers}


def test_pruned_experts_train():
    """Pruning computes the weight in a hook before each call."""
    from torch.nn.utils import prune

    torch.manual_seed(0)
    sharing = experts()
    prune.l1_unstructured(sharing.first[0], "weight", amount=0.5)
    x = torch.randn(6, WIDTH)
    for _ in range(2):  # the second pass would go back through the graph of the first
        representation, _ = sharing.mix(x)
        representation.sum().backward()
    with torch.no_grad():
        sharing.first[0].weight_orig.zero_()
        sharing.first[0].bias.zero_()
    assert (sharing(x) == 0).all()


class Numbers(Embedding):
    width = 1

    def forward(self, ids, bins, numeric, bags=()):
        return numeric


class Copies(Sharing):
    width = 1

    def forward(self, x):
        return x.expand(TASKS, *x.shape)


class Sums(Towers):
    def forward(self, representation):
        return representation.sum(dim=2).t()


def test_defaults():
    module = MultiTaskModule(embedding=Numbers(), sharing=Copies(), towers=Sums())
    X = tensors(batch(0))
    assert module.id_tables() == []
    assert module.own_rates() == []
    assert module.takes_blocks()
    assert module.penalty(module(*X), None) is None
    assert module.shared_parameters() == []
    with pytest.raises(ValueError, match="needs a dense layer that the tasks share"):
        module.last_shared_layer()
    module.start_at(torch.full((TASKS,), 0.5))
    representation, mixture = module.split(*X)
    assert torch.equal(representation, module.representation(*X))
    assert torch.equal(mixture[0].float(), torch.eye(TASKS))
    assert len(copy.deepcopy(module)(*X)) == 7


def test_a_sharing_may_write_mix_only():
    class Once(Sharing):
        width = 1

        def mix(self, x):
            return x[None], x.new_ones(1, TASKS, 1)

    module = MultiTaskModule(embedding=Numbers(), sharing=Once(), towers=Sums())
    X = tensors(batch(0))
    assert module.representation(*X).shape == (TASKS, 7, 1)
    torch.testing.assert_close(module(*X), X[2].expand(-1, TASKS))


def test_a_sharing_without_anything():
    with pytest.raises(NotImplementedError, match="neither forward nor mix"):
        Sharing()(torch.ones(2, 3))


@pytest.mark.parametrize("name", ["embedding", "sharing", "towers"])
def test_plain_modules_are_refused(name):
    parts = {"embedding": embedding(), "sharing": bottom(), "towers": towers()}
    with pytest.raises(TypeError, match=rf"{name} must be a skmtl\.modules\..*Linear"):
        MultiTaskModule(**parts | {name: nn.Linear(3, 3)})


@pytest.mark.parametrize("method", ["forward", "representation", "split"])
def test_the_network_itself_is_not_overridden(method):
    with pytest.raises(TypeError, match=f"Own must not override {method} of Multi"):
        type("Own", (MultiTaskModule,), {method: lambda self, *x: None})


def test_a_penalty_keeps_batches_whole():
    class Drawn(TaskBottoms):
        def penalty(self, logits, weight):
            return self.layers[0].bias.square().sum()

    module = compose(bottom(Drawn), towers())
    X = tensors(batch(0))
    assert not module.takes_blocks()  # and dense gradients would forbid it too
    module.embedding.sparse = True
    assert not module.takes_blocks()
    expected = module.sharing.layers[0].bias.square().sum()
    torch.testing.assert_close(module.penalty(module(*X), None), expected)
    assert compose(bottom(), towers()).penalty(module(*X), None) is None


def test_an_embedding_that_cannot_grow():
    with pytest.raises(NotImplementedError, match="Numbers cannot learn new ids"):
        Numbers().grow([3], torch.arange(3), torch.ones(3, dtype=torch.bool))


def test_stem_counts_each_representation_as_a_shared_tensor():
    sharing = EmbeddingExperts(
        n_task_experts=1, n_shared_experts=1, expert_units=[5], **SIZES
    )
    representation, mixture = sharing.mix(torch.randn(TASKS + 1, 6, WIDTH))
    assert representation.shape == (TASKS, 6, 5)
    assert torch.equal(mixture[0], torch.eye(TASKS))
    assert issubclass(ExpertMixture, Mixture)
