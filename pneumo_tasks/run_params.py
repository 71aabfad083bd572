"""The settings that a person may choose for one run, in the sections and the order of the trigger form."""

RUN_SECTIONS: dict[str, tuple[str, ...]] = {
    "What to train on": ("batches", "force"),
    "How": (
        *("recipe", "backbone_weights", "class_weights", "augmentation", "variants"),
        *("seed", "head_epochs", "fine_tune_epochs"),
    ),
    "When to promote": (
        *("min_recall", "min_precision", "target_recall", "threshold_policy", "min_auc"),
        *("recall_margin", "precision_margin", "sideways", "require_approval", "dry_run"),
    ),
}
RUN_PARAMS = tuple(name for names in RUN_SECTIONS.values() for name in names)
