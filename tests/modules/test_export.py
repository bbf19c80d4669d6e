"""Networks that torch.export takes, for any number of rows."""

import pytest
import torch

from skmtl.modules import (
    CrossStitchBottoms,
    EmbeddingExperts,
    ExpertMixture,
    MultiTaskModule,
    ParallelTowers,
    ProductTowers,
    ProgressiveExtraction,
    SharedBottom,
    TableEmbedding,
    TaskEmbedding,
    TransferTowers,
)

EMBEDDING = {
    "vocabulary_sizes": [5, 3],
    "bin_sizes": [4],
    "n_numeric": 1,
    "embedding_dim": 4,
    "bin_dim": 2,
    "sparse": True,
}
WIDTH, PARENTS = 2 * 4 + 2 + 1, [[], [0], [0, 1]]
SIZES = {"n_tasks": 3, "width": WIDTH, "dropout": 0.0}
EXPERTS = {"n_task_experts": 2, "n_shared_experts": 2, "expert_units": [6]}
GATES = {"n_experts": 4, "expert_units": [6], "bottom_units": [], "gate_dropout": 0.0}
TOWERS = {"width": 6, "units": [4], "dropout": 0.0}


def parallel():
    return ParallelTowers(n_tasks=3, **TOWERS)


NETWORKS = {
    "bottom": lambda: (SharedBottom(units=[6], **SIZES), parallel()),
    "experts": lambda: (ExpertMixture(**GATES, **SIZES), parallel()),
    "levels": lambda: (
        ProgressiveExtraction(n_levels=2, **EXPERTS, **SIZES),
        parallel(),
    ),
    "stem": lambda: (EmbeddingExperts(**EXPERTS, **SIZES), parallel()),
    "stitches": lambda: (
        CrossStitchBottoms(units=[6], own_weight=0.8, **SIZES),
        parallel(),
    ),
    "transfer": lambda: (
        SharedBottom(units=[6], **SIZES),
        TransferTowers(parents=PARENTS, calibrator_weight=0.6, **TOWERS),
    ),
    "product": lambda: (
        SharedBottom(units=[6], **SIZES),
        ProductTowers(parents=PARENTS, **TOWERS),
    ),
}


def batch(n):
    generator = torch.Generator().manual_seed(n)
    ids = [torch.randint(0, 5, (n,), generator=generator)]
    ids.append(5 + torch.randint(0, 3, (n,), generator=generator))
    return {
        "ids": torch.stack(ids, dim=1),
        "bins": torch.randint(0, 4, (n, 1), generator=generator),
        "numeric": torch.randn(n, 1, generator=generator),
    }


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.filterwarnings("ignore")  # torch warns of its own tracing
def test_an_exported_program_takes_any_number_of_rows(name):
    torch.manual_seed(0)
    kind = TaskEmbedding if name == "stem" else TableEmbedding
    embedding = kind(**EMBEDDING | ({"n_sets": 4} if name == "stem" else {}))
    sharing, towers = NETWORKS[name]()
    module = MultiTaskModule(embedding=embedding, sharing=sharing, towers=towers)
    assert module.block_rows == 1024
    module.eval().block_rows = None
    rows = {name: {0: torch.export.Dim.DYNAMIC} for name in batch(7)}
    program = torch.export.export(module, (), batch(7), dynamic_shapes=rows)
    [bounds] = set(program.range_constraints.values())
    assert bounds.upper > 2**31
    for n in (1, 7, 1500):
        found = program.module()(**batch(n))
        torch.testing.assert_close(found, module(**batch(n)), rtol=1e-5, atol=1e-5)


def test_blocks_of_rows_change_nothing():
    torch.manual_seed(0)
    sharing, towers = NETWORKS["levels"]()
    module = MultiTaskModule(
        embedding=TableEmbedding(**EMBEDDING), sharing=sharing, towers=towers
    )
    seen = []
    sharing.register_forward_hook(lambda part, arguments, out: seen.append(out.shape))
    outputs = []
    for module.block_rows in (1024, 100, None):
        with torch.no_grad():
            outputs.append(module(**batch(250)))
    assert [shape[1] for shape in seen] == [250, 100, 100, 50, 250]
    for one in outputs:
        torch.testing.assert_close(one, outputs[0], rtol=1e-6, atol=1e-6)
