"""The template: what an average chest looks like, fitted once on training films, and kept."""

import io
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal
from pneumo_tasks.dataset.sample import first_of_each
from pneumo_tasks.dataset.snapshots import training_rows
from pneumo_tasks.errors import BadData, ConditionFailed, ObjectMissing
from pneumo_tasks.films.imaging import Grey
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256
from pneumo_tasks.training.films import by_size, read_films
from pneumo_tasks.training.framing import alignment
from pneumo_tasks.training.framing.affine_maps import GRID, SIDE, Matrix, onto_template
from pneumo_tasks.training.framing.frames import squash

log = logging.getLogger(__name__)

METHOD = "balanced-mean-1"  # a change of the fit needs a new name: another template, other features
FILMS_A_CLASS = 400
ROUNDS = 2
_BATCH = 50


class TemplateRecord(BaseModel):
    """templates/<method>/template.json: the template that all runs of this bucket align to.

    It is fitted once, on training films of ``snapshot_id``, and stays: another one would make every
    cached feature of an aligned film worthless. Delete the record to have it fitted again.
    """

    model_config = ConfigDict(frozen=True)

    sha256: str
    snapshot_id: str
    films: dict[str, int]
    accepted: float
    fitted_at: str


def find_template(settings: Settings, store: ObjectStore, snapshot_id: str) -> Matrix:
    """The bucket's template, fitted on training films of the snapshot where there is none yet."""
    try:
        return read_template(store)
    except ObjectMissing:
        pass
    rows = first_of_each(training_rows(store, snapshot_id), "label", FILMS_A_CLASS)
    films = [film for batch in read_films(settings, store, rows, 64) for film in batch]
    template, accepted = fit_template(films, (rows["label"] == LABELS[1]).to_numpy(bool))
    file = io.BytesIO()
    np.save(file, template)
    record = TemplateRecord(
        sha256=sha256(file.getvalue()),
        snapshot_id=snapshot_id,
        films={label: int((rows["label"] == label).sum()) for label in LABELS},
        accepted=accepted,
        fitted_at=journal.now(),
    )
    store.put(layout.template(METHOD, f"{record.sha256}.npy"), file.getvalue())
    try:
        store.put_if_absent(layout.template(METHOD, "template.json"), canonical_json(record.model_dump()))
    except ConditionFailed:
        log.info("another worker has fitted the template meanwhile")
    return read_template(store)


def read_template(store: ObjectStore) -> Matrix:
    """The template of this bucket, its digest checked; ObjectMissing where none was fitted yet."""
    record = TemplateRecord.model_validate(store.read_json(layout.template(METHOD, "template.json")))
    body = store.read_verified(layout.template(METHOD, f"{record.sha256}.npy"), record.sha256)
    return np.asarray(np.load(io.BytesIO(body), allow_pickle=False), np.float32)


def fit_template(films: list[Grey], ill: NDArray[np.bool_], rounds: int = ROUNDS) -> tuple[Matrix, float]:
    """The mean film, both classes counting the same, aligned to itself; and the share that aligned.

    A mean over all films would be a mean of the more frequent class, whose framing the others would
    then be given. BadData where a class has no film.
    """
    import keras

    if not ill.any() or ill.all():
        raise BadData("a template needs films of both classes", do="Upload more patients.")
    image = keras.Input((None, None, 1), dtype="uint8")
    smalls = by_size(keras.Model(image, alignment.small(squash(image, SIDE))).predict_on_batch, films)
    template, accepted = _mean(smalls, ill), 0.0
    aligner = _aligner()
    for _ in range(rounds):
        aligned, accepted = _aligned(aligner, smalls, template)
        template = _mean(aligned, ill)
    log.info("template: %d films, %.1f %% of them aligned", len(films), 100 * accepted)
    return template, accepted


def _aligner() -> Any:
    """One graph for all rounds: the template is an input, so it is traced once."""
    import keras

    given = keras.Input((GRID, GRID))
    target = keras.Input(alignment.target_of(np.eye(GRID, dtype=np.float32)).shape[1:])
    found = alignment.align_small(given, target)
    return keras.Model([given, target], [onto_template(given, found.parameters), found.accepted])


def _aligned(
    aligner: Any, smalls: NDArray[np.float32], template: Matrix
) -> tuple[NDArray[np.float32], float]:
    target = np.repeat(alignment.target_of(template), _BATCH, 0)
    padded = np.concatenate([smalls, np.repeat(smalls[-1:], -len(smalls) % _BATCH, 0)])
    answers = [
        aligner.predict_on_batch([padded[start : start + _BATCH], target])
        for start in range(0, len(padded), _BATCH)
    ]
    films, accepted = (np.concatenate(parts)[: len(smalls)] for parts in zip(*answers, strict=True))
    return films, float(accepted.mean())


def _mean(films: NDArray[np.float32], ill: NDArray[np.bool_]) -> Matrix:
    mean: Matrix = (0.5 * films[ill].mean(0) + 0.5 * films[~ill].mean(0)).astype(np.float32)
    return mean
