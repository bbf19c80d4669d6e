"""How alike the experts are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from skmtl.displays._panels import heat_table, name_inches, panels


class ExpertSimilarityDisplay:
    """Similarity of the outputs of every two experts, as a table.

    Experts that all look alike learned one thing; fewer would do.

    Parameters
    ----------
    similarity : DataFrame or array of shape (n_experts, n_experts)
        Similarities from 0 to 1, such as the linear CKA of the experts' outputs; NaN
        where there is none. Columns of a DataFrame are the experts' names.
    expert_names : sequence of str, default=None
        Names of the experts; by default those of `similarity`, or their numbers.
    measure : str, default="linear CKA"
        Name of the similarity.

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
        similarity: Any,
        expert_names: Sequence[Any] | None = None,
        measure: str = "linear CKA",
    ) -> None:
        self.similarity = similarity
        self.expert_names = expert_names
        self.measure = measure

    def plot(self, *, ax: Any = None) -> Self:
        """Draw it.

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
            If `similarity` is not square, or the names do not fit it.
        """
        values = np.asarray(self.similarity, dtype=np.float64)
        names: Any = self.expert_names
        if names is None:
            names = getattr(self.similarity, "columns", range(len(values)))
        listed = [str(name) for name in names]
        if values.ndim != 2 or values.shape != (len(listed),) * 2:
            raise ValueError(
                "similarity must have a row and a column for each expert; it has shape "
                f"{values.shape}, and the experts are {listed}."
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
