"""A rule that may be asked for: the candidate has proved itself on films of the coming weeks."""

from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.unseen.unseen_figures import unseen_figures
from pneumo_tasks.evaluation.unseen.unseen_table import read_table
from pneumo_tasks.intake.records.accepted import accepted_images
from pneumo_tasks.promotion.deciding.gate import at_least
from pneumo_tasks.promotion.rule import Rule
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore

NAME = "recall on unseen films, lower end"


def unseen_rules(settings: Settings, store: ObjectStore, evaluation: Evaluation) -> list[Rule]:
    """No rule while ``min_unseen_recall`` is 0.

    A candidate that has met no unseen film fails: it scores those of the coming runs, and is judged again
    when decide_promotion of its own run is cleared. The bound holds however often that is done.
    """
    if settings.min_unseen_recall <= 0:
        return []
    table = read_table(store, evaluation.sha256)
    why = "the candidate has met no film before training; it meets those of the coming runs"
    if not len(table):
        return [at_least(NAME, None, settings.min_unseen_recall, why)]
    accepted = accepted_images(store, settings.patient_site)
    found = unseen_figures(table, accepted, evaluation.operating_point.threshold)
    why = f"of {found.recall.patients} ill patients, scored before anybody trained on them"
    return [at_least(NAME, found.recall.low, settings.min_unseen_recall, why)]
