"""Display: from the values that a DICOM film stores to the grey levels that a reader sees.

DICOM PS3.3 C.11 and PS3.4 N.2: the modality's table or rescale, then the table or window for display,
the polarity last. Each of these elements is a valid number or table, or it counts as absent.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.films.depth import VALUES, Counts, depth_of
from pneumo_tasks.films.imaging import Grey

Levels = NDArray[np.float64]
_INVERTED = "MONOCHROME1"


@dataclass(frozen=True)
class Table:
    """A lookup table: ``first`` is the input that the first entry belongs to; outputs have ``bits`` bits."""

    first: int
    entries: NDArray[np.int64]
    bits: int

    def of(self, values: Levels) -> Levels:
        """The entries of ``values``; below the first and beyond the last input the nearest entry."""
        at = np.clip(np.rint(values).astype(np.int64) - self.first, 0, len(self.entries) - 1)
        return self.entries[at].astype(float)

    @property
    def highest(self) -> float:
        return float(2**self.bits - 1)


def grey_levels(dataset: Any, lowest: int, counts: Counts) -> Grey:
    """The grey level (uint8) of every storable value; ``counts[i]`` pixels hold the value ``lowest + i``.

    Monotone in the stored value for MONOCHROME2 with a rising rescale, antitone for MONOCHROME1.
    Padding is background: black in either polarity.
    """
    values = lowest + np.arange(len(counts), dtype=float)
    padding = _padding(dataset, values)
    modality = _table(dataset, "ModalityLUTSequence", signed=lowest < 0)
    slope, intercept = _rescale(dataset)
    rescaled = modality.of(values) if modality else values * slope + intercept
    shown = _windowed(dataset, rescaled, lowest < 0)
    if shown is None and modality:
        shown = rescaled / modality.highest
    elif shown is None:
        low, high = _range(lowest, np.where(padding, 0, counts))
        shown = (values - low) / (high - low) if slope > 0 else (high - values) / (high - low)
    shown = np.clip(shown, 0.0, 1.0)
    if str(dataset.get("PhotometricInterpretation", "")).strip() == _INVERTED:
        shown = 1.0 - shown
    grey: Grey = np.where(padding, 0, np.rint(shown * 255)).astype(np.uint8)
    return grey


def _windowed(dataset: Any, values: Levels, signed: bool) -> Levels | None:
    """0 to 1 by the first table, else the first window, else None (PS3.3 C.11.2)."""
    table = _table(dataset, "VOILUTSequence", signed)
    if table:
        return table.of(values) / table.highest
    centre, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    if centre is None or width is None or width <= 0:
        return None
    function = str(dataset.get("VOILUTFunction", "")).strip().upper()
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return (values - centre) / width + 0.5
    if width < 1:  # LINEAR starts at 1 (C.11.2.1.2.1)
        return None
    if width == 1:
        return (values > centre - 0.5).astype(float)
    return (values - (centre - 0.5)) / (width - 1.0) + 0.5


def _range(lowest: int, counts: Counts) -> tuple[float, float]:
    """The range of the depth that holds the bulk of the values, on both sides of 0 where they are signed."""
    values = lowest + np.arange(len(counts))
    negative = counts[values < 0].sum()
    if negative <= 0.01 * max(int(counts.sum()), 1):
        depth = depth_of(_padded(counts[values >= 0]))
        return 0.0, float(2**depth - 1)
    sizes = 2 * np.where(values < 0, -values - 1, values)
    depth = depth_of(_padded(np.bincount(sizes, counts).astype(np.int64)))
    return float(-(2 ** (depth - 1))), float(2 ** (depth - 1) - 1)


def _padded(counts: Counts) -> Counts:
    return np.pad(counts, (0, max(0, VALUES - len(counts))))


def _padding(dataset: Any, values: Levels) -> NDArray[np.bool_]:
    """Where a value is padding (PS3.3 C.7.5.1.1.2): one value, or a range of values."""
    given, limit = _number(dataset, "PixelPaddingValue"), _number(dataset, "PixelPaddingRangeLimit")
    if given is None:
        return np.zeros(len(values), bool)
    ends = [_as_stored(end, values) for end in (given, given if limit is None else limit)]
    return (values >= min(ends)) & (values <= max(ends))


def _as_stored(value: float, values: Levels) -> float:
    """A padding value of a signed film that its writer declared as unsigned."""
    return value - VALUES if values[0] < 0 and value > values[-1] else value


def _rescale(dataset: Any) -> tuple[float, float]:
    slope, intercept = _number(dataset, "RescaleSlope"), _number(dataset, "RescaleIntercept")
    return slope or 1.0, intercept or 0.0


def _number(dataset: Any, name: str) -> float | None:
    """The first value of an element, None where there is none or it is no finite number."""
    try:
        value = dataset.get(name)
        if isinstance(value, str | bytes) or not hasattr(value, "__getitem__"):
            found = float(value)
        else:
            found = float(value[0])
    except (TypeError, ValueError, OverflowError, IndexError, ArithmeticError):
        return None
    return found if math.isfinite(found) else None


def _table(dataset: Any, sequence: str, signed: bool) -> Table | None:
    """The first table of a sequence, None where there is none or it contradicts its own description."""
    try:
        items = dataset.get(sequence)
        if not items:
            return None
        count, first, bits = (int(value) for value in items[0].LUTDescriptor)
        entries = _entries(items[0].LUTData, count or VALUES)
    except (AttributeError, TypeError, ValueError, OverflowError, IndexError):
        return None
    if entries is None:
        return None
    first = first - VALUES if signed and first >= VALUES // 2 else first
    needed = int(entries.max()).bit_length()
    return Table(first, entries, max(bits if 8 <= bits <= 16 else 8, needed))


def _entries(data: Any, count: int) -> NDArray[np.int64] | None:
    """``count`` entries: words, or bytes where there are not enough bytes for words."""
    raw = data if isinstance(data, bytes) else np.atleast_1d(np.asarray(data)).astype("<u2").tobytes()
    if count < 1 or len(raw) < count:
        return None
    kind = "<u2" if len(raw) >= 2 * count else "u1"
    return np.frombuffer(raw, kind, count).astype(np.int64)
