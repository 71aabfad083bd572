"""What an evaluation leaves behind: the document, the scores of each film, and the candidate it was about.

Each is written once under its digest or number, and names the others by sha256, so that who has the digest
of an evaluation has all that it rests on.
"""

import io
from dataclasses import dataclass

import pandas as pd

from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.revisions import Revision, read_last, revise
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.documents import understood
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256
from pneumo_tasks.training.export.candidate import Candidate, read_candidate


@dataclass(frozen=True)
class Recorded:
    """An evaluation as it was read, and which document it was; None for a run of an earlier release."""

    evaluation: Evaluation
    document: Revision | None


def read_evaluation(store: ObjectStore, run_id: str) -> Evaluation:
    """What evaluation.json says now; whoever decides asks ``read_recorded``."""
    with understood(key := layout.run(run_id, "evaluation.json")):
        return Evaluation.model_validate(store.read_json(key))


def read_recorded(store: ObjectStore, run_id: str, told: Revision | None = None) -> Recorded:
    """The evaluation that the evaluating task ``told``; without its word, the run's last one.

    CorruptArtefact where the bytes are others, or evaluation.json is not the last revision.
    """
    if told is not None:
        body = store.read_verified(told.key, told.sha256)
        return Recorded(Evaluation.model_validate_json(body), told)
    body, last = read_last(store, run_id, "evaluation", "evaluate_candidate")
    return Recorded(Evaluation.model_validate_json(body), last)


def write_evaluation(store: ObjectStore, evaluation: Evaluation, scores: pd.DataFrame) -> Recorded:
    """Write the scores, then the evaluation that names them; test_scores.parquet is a copy for people."""
    body = scores.to_parquet(index=False)
    store.put_once(layout.evidence(evaluation.run_id, "test_scores", sha256(body), "parquet"), body)
    store.put(layout.run(evaluation.run_id, "test_scores.parquet"), body)
    named = evaluation.model_copy(update={"scores_sha256": sha256(body)})
    return Recorded(named, revise(store, evaluation.run_id, "evaluation", named.model_dump(mode="json")))


def read_test_scores(store: ObjectStore, evaluation: Evaluation) -> pd.DataFrame:
    """The score of each test film; CorruptArtefact where they are not those of this evaluation."""
    if not evaluation.scores_sha256:  # of an earlier release
        return pd.read_parquet(io.BytesIO(store.read(layout.run(evaluation.run_id, "test_scores.parquet"))))
    return read_named_scores(store, evaluation.run_id, evaluation.scores_sha256)


def read_named_scores(store: ObjectStore, run_id: str, digest: str) -> pd.DataFrame:
    key = layout.evidence(run_id, "test_scores", digest, "parquet")
    return pd.read_parquet(io.BytesIO(store.read_verified(key, digest)))


def keep_candidate(store: ObjectStore, candidate: Candidate) -> Revision:
    """A copy of candidate.json as it was evaluated: a late twin of the export may write the file again."""
    body = canonical_json(candidate.model_dump(mode="json"))
    key = layout.evidence(candidate.run_id, "candidate", sha256(body), "json")
    store.put_once(key, body)
    return Revision(key=key, sha256=sha256(body))


def evaluated_candidate(store: ObjectStore, evaluation: Evaluation) -> Candidate:
    """The candidate that was evaluated, whatever candidate.json says now."""
    if evaluation.candidate is None:  # of an earlier release
        return read_candidate(store, evaluation.run_id)
    body = store.read_verified(evaluation.candidate.key, evaluation.candidate.sha256)
    return Candidate.model_validate_json(body)
