"""Where an export goes: a new folder, beside the source and never in it, there as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sima2.errors import UsageError
from sima2.io.documents import reason
from sima2.io.durable import is_taken, new_folder


@contextmanager
def target_folder(target: Path, source: Path | None = None) -> Iterator[Path]:
    """A folder to write into, that appears as ``target`` when the block ends without an error.

    Args:
        target: a folder that is missing or empty.
        source: the data set that is exported, which nothing is written into.

    Raises:
        UsageError: if something is there, it is within the source, or the disk does not take it.
    """
    refuse_target(target, source)
    try:
        with new_folder(target) as building:
            yield building
    except OSError as error:
        # pyarrow's errors of this kind are OSErrors as well
        raise UsageError(f"{target}: cannot be written: {reason(error)}; nothing was left there") from error


def refuse_target(target: Path, source: Path | None = None) -> None:
    """Refuse what must not be written to, before anything is read.

    Raises:
        UsageError: if something is there, or it is within the source.
    """
    try:
        taken = is_taken(target)
        within = source is not None and target.resolve().is_relative_to(source.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, links in a circle, NUL in a name
        raise UsageError(f"{target}: is no place for a folder: {reason(error)}") from None
    if within:
        raise UsageError(f"{target} lies within the data set {source}, which is never changed: name another folder")
    if taken:
        raise UsageError(f"{target} is there already and is never overwritten: name a new folder, or remove it first")


def refuse_file(file: Path, kept: Sequence[Path], alike: Callable[[Path], bool] = lambda _: False) -> None:
    """Refuse a file that must not be written, before anything is read.

    Args:
        file: to be written.
        kept: folders into which nothing is written: the data set, and the results that are read.
        alike: whether a file that is there is one of the same kind, which may be written anew.

    Raises:
        UsageError: if it lies in such a folder, or something else is there.
    """
    try:
        within = next((each for each in kept if file.resolve().is_relative_to(each.resolve())), None)
        taken = file.is_symlink() or (file.exists() and not (file.is_file() and alike(file)))
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"{file}: is no place for a file: {reason(error)}") from None
    if within is not None:
        raise UsageError(f"{file} lies within {within}, into which nothing is written: name a file elsewhere")
    if taken:
        raise UsageError(f"{file} is there already and is no such file: it is never overwritten; name another")
