"""What rankers did by default when the studies were made."""

from typing import Any

# The last weights of four epochs of a falling learning rate, and 64 constant bins that
# start wide, for flags too. The studies compare settings under these, and their pages
# say so; figures of fits with today's defaults differ.
FORMER: dict[str, Any] = {
    "max_iter": 4,
    "average_weights": False,
    "learning_rate_schedule": "cosine",
    "early_stopping": False,
    "unknown_share": 0.0,
    "new_id_share": 0.0,
    "loss_weight": None,
    "n_bins": 64,
    "interpolate_bins": False,
    "bin_start": 1.0,
    "bin_learning_rate_factor": 1.0,
    "bin_flags": True,
}
