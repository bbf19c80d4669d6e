"""Similarity of the experts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from skmtl._typing import ColumnName, TableLike
from skmtl.displays._panels import Display, heat_table, name_inches, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ExpertSimilarityDisplay(Display):
    """Similarity of the outputs of each pair of experts, as a table.

    If all experts are alike, fewer experts are enough.

    Parameters
    ----------
    similarity : DataFrame or array of shape (n_experts, n_experts)
        Similarities from 0 to 1, such as the linear CKA of the experts' outputs; NaN if
        undefined. The columns of a DataFrame name the experts.
    expert_names : sequence of str, default=None
        Names of the experts. By default, the columns of `similarity` or their numbers.
    measure : str, default="linear CKA"
        Name of the similarity measure.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The panel.
    figure_ : matplotlib Figure
        Its figure.

    See Also
    --------
    GateWeightsDisplay : How the gates mix the experts.

    References
    ----------
    S. Kornblith et al., "Similarity of Neural Network Representations Revisited",
    ICML 2019, section 3 (linear CKA).

    Examples
    --------
    >>> from skmtl.displays import ExpertSimilarityDisplay
    >>> display = ExpertSimilarityDisplay(similarity=[[1, 0.2], [0.2, 1]]).plot()
    >>> [text.get_text() for text in display.ax_.texts]
    ['1.00', '0.20', '0.20', '1.00']
    """

    def __init__(
        self,
        *,
        similarity: TableLike,
        expert_names: Sequence[ColumnName] | None = None,
        measure: str = "linear CKA",
    ) -> None:
        self.similarity = similarity
        self.expert_names = expert_names
        self.measure = measure

    def plot(self, *, ax: Axes | Sequence[Axes] | None = None) -> Self:
        """Plot the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The panel; by default a new figure.

        Returns
        -------
        self : ExpertSimilarityDisplay
            The display, with `ax_` and `figure_`.

        Raises
        ------
        ValueError
            If `similarity` is not square, or the number of names does not match.
        """
        values = np.asarray(self.similarity, dtype=np.float64)
        names = self.expert_names
        if names is None:
            names = list(getattr(self.similarity, "columns", range(len(values))))
        listed = [str(name) for name in names]
        if values.ndim != 2 or values.shape != (len(listed),) * 2:
            raise ValueError(
                "similarity must have one row and one column per expert; got shape "
                f"{values.shape} for the experts {listed}."
            )
        side = 1.0 + 0.5 * len(listed) + name_inches(listed)
        self.figure_, axes = panels(
            "ExpertSimilarityDisplay", 1, ax, size=(side + 0.9, side)
        )
        self.ax_ = axes[0]
        image = heat_table(self.ax_, values, listed, listed, vmin=0, vmax=1)
        self.ax_.set(xlabel="expert", ylabel="expert", aspect="equal")
        self.figure_.colorbar(image, ax=self.ax_, label=self.measure)
        return self
