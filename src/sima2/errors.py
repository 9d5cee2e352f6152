"""One tree of errors; each builds its own message: which thing, what is wrong, what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

LONGEST: Final = 4000
"""Characters of a message; what is wrong with a name of a megabyte is said with less."""
_CREDENTIALS: Final = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*:/{1,2})[^/\s@]+@")
_SECRET: Final = re.compile(
    r"([?&;][\w-]*(?:token|secret|signature|password|credential|key|sig)=)[^&;\s]+", re.IGNORECASE
)


def masked(text: str) -> str:
    """Text without what URLs in it tell of who may enter; a path made of a URL has one slash.

    >>> masked("https://me:hunter2@host/set?page=2&access_token=abc"), masked("https:/me@host: is missing")
    ('https://***@host/set?page=2&access_token=***', 'https:/***@host: is missing')
    """
    return _SECRET.sub(r"\1***", _CREDENTIALS.sub(r"\1***@", text)) if ":/" in text else text


class Sima2Error(Exception):
    """Base of every error this package raises on purpose; no message holds credentials or is without end."""

    exit_code = 1

    def __init__(self, message: object = "") -> None:
        text = masked(str(message))
        super().__init__(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…")

    def __reduce__(self) -> tuple[Any, ...]:
        # by default Python calls the class with the message, which is not what most of these are made of
        return _again, (type(self), self.args, self.__dict__)


def _again(cls: type[Sima2Error], args: tuple[Any, ...], state: Mapping[str, Any]) -> Sima2Error:
    """An error as it was in another process."""
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(Sima2Error):
    """A setting is wrong; nothing was read or written."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not in its vocabulary; the message lists the valid ones.

    >>> str(UnknownNameError("family", "drawr_open", ["drawer_open", "dish_place"]))
    "unknown family 'drawr_open': did you mean 'drawer_open'? valid: dish_place, drawer_open"
    """

    def __init__(self, kind: str, name: object, valid: Iterable[str]) -> None:
        names = sorted(valid)
        near = difflib.get_close_matches(str(name), names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        super().__init__(f"unknown {kind} {str(name)!r}: {hint}valid: {', '.join(names)}")


class QueryError(UsageError):
    """A query cannot be understood; ``lines`` show where."""

    def __init__(self, message: str, *lines: str) -> None:
        super().__init__(message)
        self.lines = lines


class MissingExtraError(UsageError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'sima2[{extra}]'")


class DataError(Sima2Error):
    """The data cannot be used at all; ``lines`` say more of it."""

    exit_code = 3

    def __init__(self, message: str, *lines: str) -> None:
        super().__init__(message)
        self.lines = lines


class DatasetError(DataError):
    """A data set is malformed as a whole."""

    def __init__(self, path: object, problem: str, remedy: str = "") -> None:
        super().__init__(f"{path}: {problem}" + (f" ({remedy})" if remedy else ""))


class SourceLostError(DataError):
    """A file of a data set that lies elsewhere cannot be had any more: nothing can be said of what it holds."""


class RolloutError(DataError):
    """One rollout is malformed; a run puts it in quarantine under ``reason``.

    >>> error = RolloutError("ep7", "time", "goes back at frame 12", reason="time_not_increasing")
    >>> str(error), error.reason
    ('rollout ep7, time: goes back at frame 12', 'time_not_increasing')
    """

    def __init__(
        self,
        episode_id: str,
        field: str,
        problem: str,
        *,
        reason: str,
        start_frame: int = 0,
        end_frame: int = 0,
    ) -> None:
        super().__init__(f"rollout {episode_id}, {field}: {problem}")
        self.episode_id = episode_id
        self.field = field
        self.problem = problem
        self.reason = reason
        self.start_frame = start_frame
        self.end_frame = end_frame


class RecordError(Sima2Error):
    """A record was built from columns that do not fit each other: a defect of the caller."""


class StoreError(DataError):
    """An output folder cannot be read or written as it stands."""


class WorkerError(Sima2Error):
    """Workers died or failed beyond what a run can bear."""


class GateError(Sima2Error):
    """A gate failed: a trust tier was lost or a target of a bench was missed."""

    exit_code = 5
