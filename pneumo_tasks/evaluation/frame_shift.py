"""Frame shift: shortcuts and shifted films of a snapshot, as received and in the standard frame.

Validation films come from the same hands as the training films, so no validation figure can warn
of a shortcut that the next hospital does not offer. These figures can: they never ask the model.
"""

import itertools
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from pneumo_tasks.dataset.sample import first_of_each
from pneumo_tasks.dataset.snapshots import training_rows
from pneumo_tasks.errors import ObjectMissing
from pneumo_tasks.evaluation.probes.shift import ShiftFact
from pneumo_tasks.evaluation.probes.shortcuts import (
    Framed,
    FrameGauge,
    drawn_frames,
    file_facts,
    in_pixels,
    mirrored_rim,
    shortcut_auc,
)
from pneumo_tasks.evaluation.scoring import read_images
from pneumo_tasks.intake.rules.adversarial import adversarial_auc, standardised
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256
from pneumo_tasks.training.framing.template import read_template

log = logging.getLogger(__name__)

FILMS = 500  # of each label and split, at most
_FEWEST = 20  # of a label and split; with fewer, nothing is said
_VERSION = 5  # of what is measured
MAX_APART = 0.05  # of the shares of two labels that were not brought to the frame
FRAMES = ("as received", "in the standard frame")


def measure_frame_shift(
    settings: Settings, store: ObjectStore, snapshot_id: str, test: pd.DataFrame
) -> list[ShiftFact]:
    """What the geometry of the films gives away, before and after; nothing where no template was fitted.

    Kept with the snapshot: the films decide it, whatever recipe is judged. ``test`` are its test rows.
    """
    try:
        template = read_template(store)
    except ObjectMissing:
        return []
    every = pd.concat([training_rows(store, snapshot_id), test], ignore_index=True)
    films = first_of_each(every, ["split", "label"], FILMS).reset_index(drop=True)
    limits = [settings.max_shortcut_auc, settings.max_drift_auc, settings.max_unaligned]
    given = [_VERSION, sha256(template.tobytes()), sha256(test.to_csv().encode()), limits]
    digest = sha256(canonical_json(given))
    key = layout.dataset(snapshot_id, f"frame-shift-{digest[:16]}.json")
    try:
        return [ShiftFact.model_validate(fact) for fact in store.read_json(key)]
    except ObjectMissing:
        pass
    gauge = FrameGauge(template)
    framed = gauge.measure(read_images(settings, store, films))
    _, drawn = gauge.measure(drawn_frames(read_images(settings, store, films[films["split"] != "test"])))
    facts = [
        *_alignment(settings, films, framed[0]),
        *_shortcuts(settings, films, framed, drawn),
        *_domains(settings, films, framed),
    ]
    store.put_json(key, [fact.model_dump(mode="json") for fact in facts])
    for fact in facts:
        if fact.verdict == "warning":
            log.warning("%s: %s %s (%s)", fact.subject, fact.name, fact.found, fact.limit)
    return facts


def _alignment(settings: Settings, films: pd.DataFrame, received: Framed) -> Iterator[ShiftFact]:
    """How many films could not be brought to the standard frame, and are judged as they are.

    Where one label fails more often than the other, the failure itself tells the label.
    """
    indices: dict[Any, Any] = films.groupby(["split", "label"]).indices
    shares: dict[str, list[float]] = {}
    for (split, label), places in indices.items():
        failed = int((~received.aligned[places]).sum())
        shares.setdefault(split, []).append(failed / len(places))
        yield _fact(
            f"{split} films, {label}",
            "not brought to the standard frame",
            failed / len(places),
            settings.max_unaligned,
            f"{failed} of {len(places)} ({100 * failed / len(places):.1f} %)",
        )
    for split, both in shares.items():
        apart = max(both) - min(both)
        name = "not brought to the standard frame, one label against the other"
        yield _fact(f"{split} films", name, apart, MAX_APART, f"{100 * apart:.1f} points")


def _shortcuts(
    settings: Settings, films: pd.DataFrame, framed: tuple[Framed, Framed], drawn: Framed
) -> Iterator[ShiftFact]:
    """How well the label of training films is predicted from what has nothing to do with it.

    ``drawn`` are the same films in frames drawn at random, where no framing is left to tell.
    """
    known = (films["split"] != "test").to_numpy(bool)
    ill, patients = (films["label"] == LABELS[1]).to_numpy(bool)[known], films["patient"][known]
    for frame, seen in zip(FRAMES, framed, strict=True):
        auc = shortcut_auc(in_pixels(seen.geometry[known]), ill, patients)
        yield _fact("training films", f"label from geometry alone, {frame}", auc, settings.max_shortcut_auc)
        auc = shortcut_auc(seen.exposure[known], ill, patients)
        yield _fact("training films", f"label from exposure alone, {frame}", auc)
        auc = shortcut_auc(seen.texture[known], ill, patients)
        yield _fact("training films", f"label from texture alone, {frame}", auc)
    auc = shortcut_auc(in_pixels(drawn.geometry), ill, patients)
    yield _fact("training films", f"label from geometry alone, {FRAMES[1]}, if framed at random", auc)
    auc = shortcut_auc(mirrored_rim(framed[0].geometry[known]), ill, patients)
    yield _fact("training films", f"label from the mirrored rim alone, {FRAMES[1]}", auc)
    auc = shortcut_auc(file_facts(films[known]), ill, patients)
    yield _fact("training films", "label from the files' sizes alone, as received", auc)


def _domains(settings: Settings, films: pd.DataFrame, framed: tuple[Framed, Framed]) -> Iterator[ShiftFact]:
    """How well two groups of films of one label are told apart; .5 where they are alike."""
    for frame, seen in zip(FRAMES, framed, strict=True):
        pixels = standardised([thumbnail.tobytes() for thumbnail in seen.thumbnail])
        for label in LABELS:
            groups = _groups(films, label)
            for (one, these), (other, those) in itertools.combinations(groups.items(), 2):
                both = [films["patient"].to_numpy(str)[places] for places in (these, those)]
                if min(len(np.unique(names)) for names in both) < _FEWEST:
                    continue
                auc = adversarial_auc(pixels[these], pixels[those], list(both[0]), list(both[1]))
                yield _fact(f"{one} against {other}, {label}", f"adversarial AUC, {frame}", auc,
                            settings.max_drift_auc)  # fmt: skip


def _groups(films: pd.DataFrame, label: str) -> dict[str, "np.ndarray[tuple[int], np.dtype[np.intp]]"]:
    """The films of a label by split; and those of the newest training batch, where there are several."""
    mine = (films["label"] == label).to_numpy(bool)
    groups = {
        split: np.flatnonzero(mine & (films["split"] == split).to_numpy(bool))
        for split in ("train", "validation", "test")
    }
    known = films[films["split"] != "test"]
    newest = known.sort_values("created_at")["batch_id"].iloc[-1]
    if known["batch_id"].nunique() > 1:
        here = mine & (films["batch_id"] == newest).to_numpy(bool) & (films["split"] != "test").to_numpy(bool)
        groups = {name: np.setdiff1d(places, np.flatnonzero(here)) for name, places in groups.items()}
        groups[f"newest batch {newest}"] = np.flatnonzero(here)
    return groups


def _fact(subject: str, name: str, value: float, limit: float | None = None, found: str = "") -> ShiftFact:
    passes = limit is None or value <= limit
    return ShiftFact(
        subject=subject,
        name=name,
        found=found or f"{value:.3f}",
        limit="" if limit is None else f"at most {limit:g}",
        verdict="pass" if passes else "warning",
    )
