"""Small films and batches for the tests of the intake."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from pneumo_tasks.films.imaging import Grey


def film(seed: int, side: int = 96) -> Grey:
    """Smooth structure at several scales: no two seeds look alike to a perceptual hash."""
    noise = np.random.default_rng(seed)
    across = np.linspace(-1, 1, side)
    pixels = np.tile(60 * np.cos(across * np.pi), (side, 1))  # dark rims, as a chest film has them
    for cells in (3, 6, 12, 24):
        layer = Image.fromarray(noise.uniform(0, 255, (cells, cells)).astype(np.uint8))
        pixels += np.asarray(layer.resize((side, side), Image.Resampling.BICUBIC), float) / 4
    return np.clip(128 + 1.8 * (pixels - pixels.mean()), 0, 255).astype(np.uint8)


def jpeg(pixels: Grey, **options: object) -> bytes:
    return encoded(pixels, "JPEG", **options)


def png(pixels: Grey, **options: object) -> bytes:
    return encoded(pixels, "PNG", **options)


def encoded(pixels: Grey, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def good_files(count: int, start: int = 0) -> dict[str, bytes]:
    """``count`` good films, half of each label, in the names of the public data set."""
    files = {}
    for number in range(start, start + count):
        sick = number % 2
        name = f"PNEUMONIA/person{number}_virus_1.jpeg" if sick else f"NORMAL/IM-{number:04d}-0001.jpeg"
        files[name] = jpeg(film(number))
    return files
