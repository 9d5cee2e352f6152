"""``sima2 view``: the page of a run in a browser, for sets of any size, with videos and labels."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sima2.cli import options

if TYPE_CHECKING:
    from sima2.client import Source
    from sima2.io.formats.lerobot_videos import LeRobotVideos
    from sima2.records.episodes import EpisodeTable
    from sima2.records.rollout import RolloutBatch
    from sima2.records.video import Clip


class Recorded:
    """Episodes of a folder as they were recorded, as far as their sources are still there."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._sources: dict[int, Source | None] = {}
        self._cameras: dict[int, LeRobotVideos | None] = {}

    def rollout(self, episodes: EpisodeTable, row: int) -> RolloutBatch | None:
        """The episode of a row of the table, alone in a batch; None where its source is not there."""
        import numpy as np

        run = self._run(episodes, row)
        if run not in self._sources:
            self._sources[run] = self._source(run)
        source = self._sources[run]
        if source is None:
            return None
        place = int(np.searchsorted(source.numbers, episodes.source_index[row]))
        return source.read(place, place + 1).batch

    def clips(self, episodes: EpisodeTable, row: int) -> list[Clip]:
        """Where its cameras have their pictures; those whose files are there."""
        from sima2.errors import Sima2Error

        cameras = self._videos(self._run(episodes, row))
        found: list[Clip] = []
        if cameras is not None:
            for name in cameras.cameras:
                with suppress(Sima2Error):
                    found.append(cameras.clip(int(episodes.source_index[row]), name))
        return found

    def picture(self, episodes: EpisodeTable, row: int, clip: Clip, frame: int) -> tuple[str, bytes]:
        """One picture of a camera: media type and bytes."""
        from sima2.cameras import frame_image
        from sima2.errors import DatasetError

        cameras = self._videos(self._run(episodes, row))
        if cameras is None:
            raise DatasetError(clip.path, "is not there any more")
        return frame_image(cameras, clip.episode, clip.camera, frame)

    def _run(self, episodes: EpisodeTable, row: int) -> int:
        from sima2.io.store import Store

        with Store.read_only(self._out) as store:
            return next(each.number for each in store.runs if each.holds(episodes.episode_index[row : row + 1])[0])

    def _source(self, run: int) -> Source | None:
        from sima2.cli.source_of_run import rollouts_of, source_of
        from sima2.errors import Sima2Error

        try:
            return rollouts_of(self._out, source_of(self._out, run, None))
        except Sima2Error:  # its data set was moved or changed: what the run kept of it is shown
            return None

    def _videos(self, run: int) -> LeRobotVideos | None:
        from sima2.cameras import open_videos
        from sima2.cli.source_of_run import source_of
        from sima2.errors import Sima2Error

        if run not in self._cameras:
            self._cameras[run] = None
            with suppress(Sima2Error):
                path = source_of(self._out, run, None).path
                self._cameras[run] = open_videos(path) if path is not None else None
        return self._cameras[run]


def command(
    out: options.Out,
    label: Annotated[
        bool, typer.Option("--label", help="Take labels too: what is said in the page is kept in OUT/labels.jsonl.")
    ] = False,
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser", help="Open the page in the browser of this machine.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show a run's page in a browser of this machine: every episode, its videos, and its frames.

    Only this machine can ask, and only with the address that is printed. Nothing is changed unless --label is given.
    Ctrl-C ends it.

    \b
    Example:
      sima2 view results
      sima2 view results --label
    """
    import json
    import threading

    from sima2.view.pages import RunPages
    from sima2.view.server import serving

    server = serving(RunPages(out, label=label, recordings=Recorded(out)), port)
    told = {"address": server.address, "label": label}
    typer.echo(json.dumps(told) if as_json else f"{server.address}\nCtrl-C ends it")
    if browser:
        import webbrowser

        threading.Timer(0.2, webbrowser.open, (server.address,)).start()
    try:
        server.run()
    except KeyboardInterrupt:
        typer.echo("", err=True)
    finally:
        server.server.server_close()
