"""Which objects are evidence: written once, listed and counted, and named by no signed document."""

import re

from pneumo_tasks.storage import layout

# Below each folder, the names that readers of ours ask for; what else lies there is nobody's evidence.
_NAMES = {
    layout.WITHDRAWALS: r"[^/]+\.json",
    layout.CATALOGUE: r"(\d+/\d{8}\.json|complete\.json|facts/.+\.parquet)",
    layout.VALIDATIONS: r"[^/]+/[^/]+/([^/]+/)?(facts\.parquet|verdict\.json)",
    layout.VALIDATIONS_BEGUN: r"[^/]+/[^/]+",
    "register/": r"(register|patients/\d{8}|sums/\d+/\d{8})\.json",
    "seen/": r"(patients/\d{8}|sums/\d+/\d{8})\.json",
    layout.DATASETS: r"[^/]+/decisions/[^/]+",
    layout.TEST_SETS: r"[^/]+/(looks/[^/]+\.json|films\.txt)",
    layout.ERROR_BUDGET: r"[^/]+\.json",
    layout.OUTCOMES: r"\d{8}\.json",
    layout.OUTCOME_SUMS: r"\d+/\d{8}\.json",
    layout.UNSEEN: r".+\.parquet",
    layout.LATER: r".+\.parquet",
}
FOLDERS = tuple(_NAMES)
_EVIDENCE = re.compile("|".join(f"{re.escape(folder)}{names}" for folder, names in _NAMES.items()))


def is_evidence(key: str) -> bool:
    """Whether the object at ``key`` is sealed where a key is set."""
    return _EVIDENCE.fullmatch(key) is not None


def may_hold_evidence(prefix: str) -> bool:
    """Whether a listing of ``prefix`` may hold evidence."""
    return any(prefix.startswith(folder) or folder.startswith(prefix) for folder in FOLDERS)
