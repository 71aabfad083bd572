"""Class balance: how many images of each class, and the weights that follow from it."""

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.dataset.snapshots import training_rows
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


class ClassBalance(BaseModel):
    """Counts of the train split, majority over minority, and one loss weight a class."""

    model_config = ConfigDict(frozen=True)

    counts: dict[str, int]
    imbalance_ratio: float
    policy: str
    weights: dict[str, float]


def balance(counts: dict[str, int], policy: str) -> ClassBalance:
    """Derive the class weights of ``policy`` from the counts of the train split.

    ``none``: 1 and 1, the article's conclusion. ``ratio``: the article's attempt, the rarer class
    weighs majority/minority. ``balanced``: n / (2 n_class), as scikit-learn computes it.
    ``<n>:<p>``: these weights for NORMAL and PNEUMONIA.
    """
    rare, common = sorted(LABELS, key=lambda label: counts[label])
    ratio = counts[common] / counts[rare]
    weights: dict[str, float] = dict.fromkeys(LABELS, 1.0)
    if policy == "ratio":
        weights[rare] = ratio
    elif policy == "balanced":
        weights = {label: sum(counts.values()) / (2 * counts[label]) for label in LABELS}
    elif policy != "none":
        weights = dict(zip(LABELS, map(float, policy.split(":")), strict=True))
    return ClassBalance(counts=counts, imbalance_ratio=ratio, policy=policy, weights=weights)


def compute_class_balance(
    settings: Settings, store: ObjectStore, run_id: str, snapshot_id: str
) -> ClassBalance:
    """Count the train split and keep the balance with the run."""
    train = training_rows(store, snapshot_id).query("split == 'train'")
    result = balance(
        {label: int((train["label"] == label).sum()) for label in LABELS}, settings.class_weights
    )
    store.put_json(layout.run(run_id, "class_balance.json"), result.model_dump(mode="json"))
    return result


def read_class_balance(store: ObjectStore, run_id: str) -> ClassBalance:
    return ClassBalance.model_validate(store.read_json(layout.run(run_id, "class_balance.json")))
