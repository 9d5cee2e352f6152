"""What a run's folder answers: the page, all about an episode, which episodes a sequence occurs in, and pictures."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from sima2.errors import StoreError, UsageError
from sima2.query.pattern import parsed
from sima2.query.sequences import matches, refuse_unknown
from sima2.records.segments import SegmentTable
from sima2.report.folder import ReportFolder
from sima2.report.html import policy, render
from sima2.report.inputs import load_folder
from sima2.report.page_data import as_json
from sima2.view.server import Answer, Refused, plain

READ: Final = "read"
LABEL: Final = "label"


class RunPages:
    """The pages of a folder of finished runs; read anew when a run has changed it.

    Args:
        out: the folder.
        label: whether labels are taken.

    Raises:
        StoreError: if the folder is not one of a finished run.
    """

    def __init__(self, out: Path, *, label: bool = False) -> None:
        self._out = out
        self._mode = LABEL if label else READ
        self._lock = threading.RLock()
        self._seen: tuple[int, int] | None = None
        self._folder: ReportFolder
        self._page = b""
        self._segments: SegmentTable | None = None
        self._load()

    def get(self, name: str, query: Mapping[str, str]) -> Answer:
        """One of the pages below; the lock keeps the shard that is in memory one."""
        with self._lock:
            self._load()
            if name == "":
                return Answer(self._page, "text/html; charset=utf-8", policy(self._mode))
            if name == "episode":
                return plain(as_json(self._episode(query)))
            if name == "find":
                return plain(self._found(query.get("steps", "")))
            raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")

    def post(self, name: str, values: Mapping[str, Any]) -> Answer:
        """Takes labels, where they are asked for."""
        if self._mode != LABEL:
            raise Refused(HTTPStatus.FORBIDDEN, "labels are not taken: start sima2 view with --label")
        raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _load(self) -> None:
        """Read the folder, if it is not as it was."""
        try:
            seen = (self._out / "summary.json").stat()
        except OSError:
            if self._seen is None:
                raise StoreError(f"{self._out}: holds no finished run") from None
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "a run is under way: ask again when it is done") from None
        if (seen.st_mtime_ns, seen.st_size) == self._seen:
            return
        report, self._folder = load_folder(self._out, whole=False)
        self._page = render(report, live=self._mode).encode()
        self._segments = None
        self._seen = (seen.st_mtime_ns, seen.st_size)

    def _found(self, steps: str) -> dict[str, Any]:
        """Rows of the episodes in which a sequence occurs, or what is wrong with it."""
        if self._segments is None:
            self._segments = self._folder.segments()
        try:
            pattern = parsed(steps)
            refuse_unknown(self._segments, pattern)
        except UsageError as error:
            return {"rows": [], "error": str(error)}
        found = matches(self._segments, self._folder.episodes, pattern)
        return {"rows": self._folder.rows(found.episode_id).tolist()}

    def _row(self, query: Mapping[str, Any]) -> int:
        text = str(query.get("row", ""))
        if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) >= len(self._folder.episodes):
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such episode")
        return int(text)

    def _episode(self, query: Mapping[str, str]) -> dict[str, Any]:
        name = self._folder.episodes.episode_id[self._row(query)]
        return self._folder.details([name])[name]
