"""What tests of fits on sources share."""

TASKS = ["click", "cart", "order"]
IDS = ["user_id", "item_id", "category_id", "device", "history"]
SHARED = {
    "categorical_features": IDS,
    "max_iter": 2,
    "batch_size": 64,
    "tower_units": (8,),
    "embedding_dim": 4,
    "random_state": 0,
}


def features(frame):
    return frame.drop(columns=[*TASKS, "w"])
