"""A folder of `.npy` arrays: it appears whole or not at all, and is read only if every byte is as written."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.atomic_files import sync, temporary_sibling


class DamagedFileError(ValueError):
    """A file is missing, altered or not what it should be; the message says which and why."""


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class NewDirectory:
    """A folder that appears under its name only when everything in it is on the disk.

    Use as a context manager: leaving it without an error publishes the folder, an error removes it.

    Raises:
        FileExistsError: the folder exists already.
    """

    def __init__(self, directory: Path) -> None:
        self._target = directory
        self._temporary = temporary_sibling(directory)

    def __enter__(self) -> "NewDirectory":
        if self._target.exists():
            raise FileExistsError(f"{self._target} exists already")
        self._temporary.mkdir(parents=True)
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        try:
            if error_type is None:
                sync(self._temporary)
                if self._target.exists():
                    raise FileExistsError(f"{self._target} exists already")
                self._temporary.rename(self._target)
                sync(self._target.parent)
        finally:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def write_array(self, name: str, array: NDArray[Any]) -> str:
        """Write one array as `<name>.npy` and return the SHA-256 of the file."""
        path = self._temporary / f"{name}.npy"
        np.save(path, np.ascontiguousarray(array), allow_pickle=False)
        sync(path)
        return sha256_of(path)

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write one file."""
        path = self._temporary / name
        path.write_bytes(content)
        sync(path)


def read_arrays(directory: Path, digests: Mapping[str, str], dtypes: Mapping[str, type]) -> dict[str, NDArray[Any]]:
    """Memory-map the arrays named in `dtypes` after comparing each file with its SHA-256 in `digests`.

    Raises:
        DamagedFileError: a file is missing, differs from its digest, or holds another type than expected.
    """
    return {name: _read_array(directory, name, digests, np.dtype(dtype)) for name, dtype in dtypes.items()}


def _read_array(directory: Path, name: str, digests: Mapping[str, str], dtype: np.dtype[Any]) -> NDArray[Any]:
    path = directory / f"{name}.npy"
    if name not in digests:
        raise DamagedFileError(f"{path.name}: the manifest does not list it")
    try:
        found = sha256_of(path)
        if found != digests[name]:
            raise DamagedFileError(f"{path.name}: SHA-256 is {found}, the manifest says {digests[name]}")
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise error if isinstance(error, DamagedFileError) else DamagedFileError(f"{path.name}: {error}") from error
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise DamagedFileError(f"{path.name}: expected a C-contiguous array of {dtype}, got {array.dtype}")
    return np.asarray(array)
