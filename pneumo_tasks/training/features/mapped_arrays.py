"""Mapped arrays: npy files read row by row, without their pages staying in this process's memory."""

import mmap
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


class MappedArray:
    """A read-only npy file of fixed-size rows. Raises ValueError for a file of another kind or length.

    A file that is given open is closed here. It may be deleted meanwhile; the rows stay readable.
    """

    def __init__(self, source: Path | BinaryIO) -> None:
        path = source if isinstance(source, Path) else source.name
        with source.open("rb") if isinstance(source, Path) else source as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"{path}: npy version {version}, expected (1, 0)")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            offset = file.tell()
            if fortran or dtype.hasobject:
                raise ValueError(f"{path}: not an array of plain rows")
            expected = offset + int(np.prod(shape)) * dtype.itemsize
            if (size := os.fstat(file.fileno()).st_size) != expected:
                raise ValueError(f"{path}: {size} bytes, its header says {expected}")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._map.madvise(mmap.MADV_RANDOM)  # rows are drawn at random: reading ahead would be in vain
        flat: NDArray[Any] = np.frombuffer(self._map, dtype, offset=offset)
        self._rows = flat.reshape(shape)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._rows.shape

    @property
    def dtype(self) -> Any:
        return self._rows.dtype

    def read(self, rows: Indices | slice) -> NDArray[Any]:
        """A copy of the chosen rows."""
        return np.array(self._rows[rows])

    def release(self) -> None:
        """Give the pages that were read back to the system, which may keep them in its own cache."""
        self._map.madvise(mmap.MADV_DONTNEED)
