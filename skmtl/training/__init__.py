"""The fit of a ranker, from the table to fitted attributes."""
