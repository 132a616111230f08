"""A ``.npy`` file that grows at its end: an array larger than memory, written as it is made."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from dolorimeter.errors import StorageError
from dolorimeter.types import Array

HEADER = 128
"""Bytes before the numbers. Of fixed size, so that the shape can be written when it is known."""


class GrowingArray:
    """Rows appended to ``NAME.npy.part``, which becomes ``NAME.npy`` at the end.

    All are of the type of the first, float32 or float16.

    Parameters
    ----------
    path : Path
        What is to be made. What is there is replaced by `finish`, and not before.

    Raises
    ------
    StorageError
        If it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(path.name + ".part")
        self.rows = 0
        self.row_shape: tuple[int, ...] | None = None
        self.dtype = np.dtype("<f4")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.part.open("wb")
            self._file.write(b" " * HEADER)
        except OSError as error:
            raise self._fault(error) from error

    def append(self, rows: Array) -> None:
        """Add rows; those without any number yet (`blank`) take the shape of the first of these.

        Raises
        ------
        StorageError
            If the disk is full, or the like.
        """
        if self.row_shape is None:
            self.row_shape = rows.shape[1:]
            self.dtype = rows.dtype.newbyteorder("<")
            ahead, self.rows = self.rows, 0
            self.blank(ahead)
        assert rows.shape[1:] == self.row_shape  # whoever appends has looked
        try:
            self._file.write(np.ascontiguousarray(rows, self.dtype).data)
        except OSError as error:
            raise self._fault(error) from error
        self.rows += len(rows)

    def blank(self, rows: int) -> None:
        """Add rows of NaN: there is nothing there."""
        if self.row_shape is None or not rows:
            self.rows += rows
            return
        empty = np.full((1, *self.row_shape), np.nan, dtype=self.dtype)
        for _ in range(rows):
            self.append(empty)

    def finish(self) -> None:
        """Write the shape and give the file its name; a file without any number is removed."""
        try:
            if self.row_shape is not None:
                self._file.seek(0)
                self._file.write(_header((self.rows, *self.row_shape), self.dtype))
                self._file.flush()
                os.fsync(self._file.fileno())
            self._file.close()
            if self.row_shape is None:
                self.part.unlink()
            else:
                self.part.replace(self.path)
        except OSError as error:
            raise self._fault(error) from error

    def __enter__(self) -> GrowingArray:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self.part.unlink(missing_ok=True)

    def _fault(self, error: OSError) -> StorageError:
        return StorageError(
            f"{self.path}: cannot be written ({error}). Check that its folder is writable and the "
            "disk not full, or choose another place."
        )


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """What NumPy's format 1.0 begins with, padded to `HEADER` bytes."""
    told = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    length = HEADER - 10
    return b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + _padded(told, length)


def _padded(text: str, length: int) -> bytes:
    return (text.ljust(length - 1) + "\n").encode("latin-1")
