"""Synthetic chest phantoms: what `make demo` trains on where no real X-rays are at hand.

A phantom is a frontal chest drawn from soft-edged shapes. PNEUMONIA has consolidations (bright, patchy,
ill-defined areas) inside the lungs, NORMAL has none. Every image, of either class, is then given a grey
histogram drawn at random from one family: no global statistic of brightness or contrast separates the
classes, only where the bright areas lie. They teach nothing about pneumonia.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumo_tasks.settings import Label

SIDE = 224
SEED = 20_26
TRAIN_PER_LABEL = 200
TEST_PER_LABEL = 60

Grey = NDArray[np.uint8]
Field = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Phantom:
    """One drawn image: its place in the public layout, its label, and the 8-bit grey pixels (SIDE, SIDE)."""

    split: str
    label: Label
    name: str
    pixels: Grey


def draw_phantoms(
    seed: int = SEED,
    train_per_label: int = TRAIN_PER_LABEL,
    test_per_label: int = TEST_PER_LABEL,
    faintest: float = 1.0,
) -> list[Phantom]:
    """Draw both splits; the same arguments give the same pixels.

    Patients have one to three images, all in one split; names follow the public data set. How plain
    a pneumonia is lies anywhere between ``faintest`` and 1, where nobody could overlook it.
    """
    phantoms: list[Phantom] = []
    patient = 0
    for split, count in (("train", train_per_label), ("test", test_per_label)):
        for label in ("NORMAL", "PNEUMONIA"):
            drawn = 0
            while drawn < count:
                patient += 1
                rng = np.random.default_rng((seed, patient))
                anatomy = _Anatomy.draw(rng)
                for image in range(1, min(int(rng.choice([1, 1, 2, 3])), count - drawn) + 1):
                    plain = 1.0 if faintest == 1.0 else rng.uniform(faintest, 1.0)
                    pixels = _draw(anatomy, plain if label == "PNEUMONIA" else 0.0, rng)
                    phantoms.append(Phantom(split, label, _name(label, patient, image), pixels))
                    drawn += 1
    return phantoms


def write_phantoms(folder: Path, phantoms: list[Phantom]) -> None:
    """Write ``phantoms`` as {train,test}/{NORMAL,PNEUMONIA}/<name>.jpeg below ``folder``."""
    for phantom in phantoms:
        path = folder / phantom.split / phantom.label / phantom.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_jpeg(phantom.pixels))


def spoil(folder: Path) -> None:
    """Add to a split's ``folder`` what a hospital's export may hold: five faults, for intake to find.

    A file cut short, a blank film, a copy, a film under the other label as well, and a page of HTML.
    """
    normal = sorted((folder / "NORMAL").glob("*.jpeg"))
    whole, copied, disputed = (path.read_bytes() for path in normal[:3])
    added = {
        "NORMAL/IM-9001-0001.jpeg": whole[: len(whole) // 2],
        "NORMAL/IM-9002-0001.jpeg": _jpeg(np.full((SIDE, SIDE), 128, np.uint8)),
        f"NORMAL/{normal[1].stem}-copy.jpeg": copied,
        "PNEUMONIA/person9003_virus_1.jpeg": disputed,
        "PNEUMONIA/person9004_bacteria_1.jpeg": b"<!DOCTYPE html><title>Your session has expired</title>",
    }
    for name, body in added.items():
        (folder / name).write_bytes(body)


def _jpeg(pixels: Grey) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=92)
    return file.getvalue()


def _name(label: Label, patient: int, image: int) -> str:
    if label == "PNEUMONIA":
        return f"person{patient}_{'virus' if patient % 3 == 0 else 'bacteria'}_{patient * 10 + image}.jpeg"
    return f"{'NORMAL2-' if patient % 2 else ''}IM-{patient:04d}-{image:04d}.jpeg"


@dataclass(frozen=True)
class _Anatomy:
    """What one patient's images share; lengths as a share of the image's side."""

    centre: float
    width: float
    apex: float
    base: float
    heart: float
    ribs: int
    rib_tilt: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "_Anatomy":
        return cls(
            centre=rng.uniform(0.47, 0.53),
            width=rng.uniform(0.9, 1.1),
            apex=rng.uniform(0.12, 0.18),
            base=rng.uniform(0.72, 0.80),
            heart=rng.uniform(0.85, 1.15),
            ribs=int(rng.integers(7, 10)),
            rib_tilt=rng.uniform(0.25, 0.5),
        )


def _draw(anatomy: _Anatomy, plain: float, rng: np.random.Generator) -> Grey:
    """Draw one image: tissue, air, bones, heart, consolidations as ``plain`` as told, a random histogram."""
    axis = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    down, across = np.meshgrid(axis + rng.uniform(-0.015, 0.015), axis, indexing="ij")
    x = across - np.float32(anatomy.centre + rng.uniform(-0.015, 0.015))
    left, right = _lungs(anatomy, x, down)
    lungs = np.maximum(left, right)
    image = 0.62 * _ellipse(x, down, 0.0, 0.62, 0.47 * anatomy.width, 0.62, 0.03)
    image += 0.30 * np.exp(-((x / 0.045) ** 2))
    image -= 0.47 * lungs
    heart = _ellipse(x, down, 0.055, anatomy.base - 0.13, 0.155 * anatomy.heart, 0.17, 0.025)
    image += 0.38 * heart * lungs
    image += 0.09 * lungs * (1 - 0.7 * heart) * _ribs(anatomy, x, down)
    image += 0.06 * lungs * _clouds(rng, 24)
    if plain:
        image += plain * _consolidations(anatomy, lungs * (1 - heart), x, down, rng)
    image += 0.05 * _clouds(rng, 5) + rng.normal(0, 0.012, image.shape)
    return _with_random_histogram(image.astype(np.float32), rng)


def _lungs(anatomy: _Anatomy, x: Field, down: Field) -> tuple[Field, Field]:
    middle, half = (anatomy.apex + anatomy.base) / 2, (anatomy.base - anatomy.apex) / 2
    sides = []
    for side, diaphragm in ((-1, anatomy.base - 0.03), (1, anatomy.base)):
        lung = _ellipse(
            x, down, side * 0.195 * anatomy.width, middle + 0.05, 0.145 * anatomy.width, half, 0.018
        )
        dome = diaphragm - 0.05 * np.cos((x / anatomy.width - side * 0.195) * 9)
        sides.append(lung * _soft((dome - down) / 0.012))
    return sides[0], sides[1]


def _ribs(anatomy: _Anatomy, x: Field, down: Field) -> Field:
    arcs = down - anatomy.rib_tilt * np.abs(x) + 0.6 * x**2
    return np.asarray(np.maximum(np.sin(2 * np.pi * arcs * anatomy.ribs / 0.7), 0) ** 2, dtype=np.float32)


def _consolidations(
    anatomy: _Anatomy, lungs: Field, x: Field, down: Field, rng: np.random.Generator
) -> Field:
    """Four to six patches in as many of the six lung zones, each about a quarter of the image across."""
    zones = [(side * 0.19 * anatomy.width, depth) for side in (-1, 1) for depth in (0.32, 0.47, 0.61)]
    patches = np.zeros_like(x)
    for zone in rng.choice(len(zones), size=int(rng.integers(4, 7)), replace=False):
        centre, depth = zones[zone]
        patch = _ellipse(
            x, down,
            centre + rng.uniform(-0.03, 0.03), depth + rng.uniform(-0.04, 0.04),
            rng.uniform(0.095, 0.13), rng.uniform(0.095, 0.13), 0.03,
        )  # fmt: skip
        patches = np.maximum(patches, patch * np.float32(rng.uniform(0.85, 1.1)))
    return np.asarray(0.55 * lungs * patches * (1 + 0.35 * _clouds(rng, 14)), dtype=np.float32)


def _ellipse(x: Field, y: Field, cx: float, cy: float, rx: float, ry: float, softness: float) -> Field:
    """1 inside, 0 outside, with an edge about ``softness`` wide."""
    radius = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)
    return _soft((1 - radius) * min(rx, ry) / softness)


def _soft(distance: Field) -> Field:
    return np.asarray(1 / (1 + np.exp(np.clip(-4 * distance, -30, 30))), dtype=np.float32)


def _clouds(rng: np.random.Generator, cells: int) -> Field:
    """Smooth noise between -1 and 1 with about ``cells`` bumps along a side."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.float32)


def _with_random_histogram(image: Field, rng: np.random.Generator) -> Grey:
    """Replace grey values by rank, so that the histogram is one drawn without looking at the image."""
    share = np.linspace(0, 1, image.size)
    dark, bright = rng.uniform(2, 30), rng.uniform(190, 250)
    bend = rng.uniform(0.7, 1.3)
    grey = np.empty(image.size)
    grey[np.argsort(image, axis=None, kind="stable")] = dark + (bright - dark) * share**bend
    return np.asarray(np.rint(grey).reshape(image.shape), dtype=np.uint8)
