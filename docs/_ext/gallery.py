"""The order of the examples: from the first steps to special topics."""

from __future__ import annotations

ORDER = [
    "plot_first_ranker.py",
    "plot_training.py",
    "plot_metrics.py",
    "plot_task_kinds.py",
    "plot_ranking_losses.py",
    "plot_search.py",
    "plot_output_weights.py",
    "plot_revenue.py",
    "plot_transfer.py",
    "plot_gates.py",
    "plot_loss_weights.py",
    "plot_cold_start.py",
    "plot_pretrained.py",
    "plot_lists.py",
    "plot_crosses.py",
    "plot_position_bias.py",
    "plot_datasets.py",
]


class ByLesson:
    """Sort key of sphinx-gallery; examples that are not listed come last, by name."""

    def __init__(self, src_dir: str) -> None:
        self.src_dir = src_dir

    def __call__(self, filename: str) -> tuple[int, str]:
        """Place of an example."""
        known = filename in ORDER
        return (ORDER.index(filename) if known else len(ORDER), filename)

    def __repr__(self) -> str:
        """A constant text, so that Sphinx sees no changed configuration."""
        return "ByLesson"
