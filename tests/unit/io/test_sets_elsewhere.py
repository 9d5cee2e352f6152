"""A data set at a URL gives what it gives here, whatever its server does; what cannot be had stops the run."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from flaky_server import serving
from recorded_sets import record
from sima2 import client
from sima2.errors import DatasetError, MissingExtraError, SourceLostError, UsageError
from sima2.io.remote import IN_USE_S, LISTING, Cache, Mirror, open_mirror
from sima2.orchestrator import Given, run_pipeline, run_sources
from sima2.pipeline import RunSettings

SEEDS = range(12)

pytestmark = pytest.mark.extras


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    pytest.importorskip("fsspec")
    monkeypatch.setenv(client.CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr("sima2.io.remote.FIRST_WAIT_S", 0.001)
    return tmp_path / "cache"


@pytest.fixture
def here(tmp_path) -> Path:
    return record(tmp_path / "away/set", SEEDS)


def in_memory(folder: Path) -> str:
    import fsspec

    system = fsspec.filesystem("memory")
    place = f"/{folder.parent.parent.name}"
    system.put(str(folder), place, recursive=True)
    return f"memory:/{place}"


def test_a_set_at_a_url_gives_the_same_results_as_here(here, tmp_path) -> None:
    local = run_pipeline(path=here, out=tmp_path / "a").values
    url = in_memory(here)
    far = run_pipeline(path=Path(url), out=tmp_path / "b").values
    assert far["digest"] == local["digest"]
    assert far["sources"][0]["source"] == local["sources"][0]["source"]
    assert far["sources"][0]["is"].startswith(url)
    told = b"".join(file.read_bytes() for file in (tmp_path / "b").rglob("*") if file.is_file())
    assert str(tmp_path / "cache").encode() not in told
    assert run_pipeline(path=Path(url), out=tmp_path / "b").values["nothing_new"]


def test_a_closer_look_at_a_run_reads_the_url_again_unless_it_holds_something_else(here, tmp_path) -> None:
    from sima2.cli.source_of_run import rollouts_of, source_of

    url, out = in_memory(here), tmp_path / "b"
    run_pipeline(path=Path(url), out=out)
    seen = rollouts_of(out, source_of(out, None, None))
    assert (
        seen.read(0, 12).batch.episodes.episode_id
        == client.Sima2Client("dataset", path=here).source().read(0, 12).batch.episodes.episode_id
    )
    import fsspec

    (here / "meta/info.json").write_text((here / "meta/info.json").read_text() + " ")
    fsspec.filesystem("memory").put(str(here / "meta/info.json"), f"{url.removeprefix('memory:/')}/meta/info.json")
    client._MIRRORS.clear()
    with pytest.raises(UsageError, match="run again, with --fresh"):
        rollouts_of(out, source_of(out, None, None))


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_a_server_that_fails_every_seventh_request_changes_nothing(version, tmp_path) -> None:
    pytest.importorskip("aiohttp")
    here = record(tmp_path / "away/set", SEEDS, version=version)
    local = run_pipeline(path=here, out=tmp_path / "a").values
    with serving(here.parent, every=7) as server:
        far = run_pipeline(path=Path(f"{server.url}/set"), out=tmp_path / "b", jobs=2).values
    assert server.failed >= 2
    assert (far["digest"], far["episodes"]) == (local["digest"], local["episodes"])


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_file_that_cannot_be_had_stops_the_run_and_puts_no_episode_aside(jobs, here, tmp_path) -> None:
    pytest.importorskip("aiohttp")
    name = "data/chunk-000/episode_000011.parquet"
    with serving(here.parent, never=name) as server:
        source = client.Sima2Client("dataset", path=f"{server.url}/set").source()
        assert isinstance(source, client.RecordedSource)
        assert source.mirror is not None
        settings = RunSettings(path=Path(f"{server.url}/set"), source="lerobot", out=tmp_path / "b", jobs=jobs)
        given = Given(source, settings)
        assert given.inputs["episodes_in"] == 12
        (source.mirror.root / name).write_bytes(b"")  # as if it had made room for others
        server.down = True
        with pytest.raises(SourceLostError, match=r"episode_000011\.parquet: failed 6 times"):
            run_sources([given])
        server.down = False
        far = run_sources([given]).values
    assert far["digest"] == run_pipeline(path=here, out=tmp_path / "a").values["digest"]


def test_what_changes_after_it_was_listed_is_not_read(here, cache) -> None:
    mirror = open_mirror(in_memory(here), Cache(cache))
    import fsspec

    listed = mirror.files["data/chunk-000/episode_000003.parquet"]
    fsspec.filesystem("memory").pipe(listed.place, b"other")
    with pytest.raises(SourceLostError, match="5 of"):
        mirror.bring(listed.name)


def test_only_what_is_opened_is_brought(here, cache) -> None:
    mirror = open_mirror(in_memory(here), Cache(cache))
    files = [mirror.root / name for name in mirror.files]
    assert all(file.stat().st_size == 0 for file in files)
    mirror.bring("meta/info.json")
    assert [file.name for file in files if file.stat().st_size] == ["info.json"]
    mirror.bring("no/such/file")


def test_what_was_not_used_for_longest_is_given_up_first(here, cache) -> None:
    mirror = open_mirror(in_memory(here), Cache(cache, most_bytes=40_000))
    names = [name for name in mirror.files if name.endswith(".parquet")]
    for place, name in enumerate(names):
        mirror.bring(name)
        file = mirror.root / name
        old = file.stat().st_atime - 10 * IN_USE_S + place
        os.utime(file, (old, file.stat().st_mtime))
    left = [name for name in names if (mirror.root / name).stat().st_size]
    assert 0 < sum(mirror.files[name].size for name in left) <= 40_000
    assert left == names[-len(left) :]
    mirror.bring(names[0])
    assert (mirror.root / names[0]).read_bytes() == (here / names[0]).read_bytes()


def test_a_file_in_use_is_not_given_up(here, cache) -> None:
    mirror = open_mirror(in_memory(here), Cache(cache, most_bytes=1))
    for name in mirror.files:
        mirror.bring(name)
    assert all((mirror.root / name).stat().st_size == each.size for name, each in mirror.files.items())


def test_another_process_makes_the_folder_where_it_is_missing(here, cache) -> None:
    from sima2.io import on_demand

    mirror = open_mirror(in_memory(here), Cache(cache))
    sent = pickle.dumps(mirror)
    assert len(sent) < 1000
    on_demand._FOLDERS.clear()
    (mirror.root.parent / LISTING).unlink()
    again: Mirror = pickle.loads(sent)  # noqa: S301
    assert (again.root, again.digest) == (mirror.root, mirror.digest)
    on_demand._FOLDERS.clear()
    (mirror.root.parent / LISTING).unlink()
    import fsspec

    fsspec.filesystem("memory").pipe(mirror.files["meta/info.json"].place, b"{}")
    with pytest.raises(SourceLostError, match="has changed since the run began"):
        pickle.loads(sent)  # noqa: S301


@pytest.mark.parametrize("name", ["../escaped", "a/../../escaped", "/etc/escaped", "a\\b", "C:/x", "a\nb", "x" * 300])
def test_a_listing_that_names_what_no_set_may_hold_is_refused(name, cache) -> None:
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem

    class Strange(MemoryFileSystem):
        protocol = "strange"

        def ls(self, path: str, detail: bool = True, **_: Any) -> list[dict[str, Any]]:
            return [{"name": f"{path}/{name}", "size": 3, "type": "file"}]

    fsspec.register_implementation("strange", Strange, clobber=True)
    with pytest.raises(DatasetError, match="which no data set may hold"):
        open_mirror("strange://set", Cache(cache))
    assert not list(cache.parent.rglob("*escaped*"))


def test_links_are_not_followed(here, tmp_path, cache) -> None:
    (here / "data/outside").symlink_to(tmp_path)
    (here / "meta/link.json").symlink_to("/etc/hostname")
    mirror = open_mirror(f"local://{here}", Cache(cache))
    assert not [name for name in mirror.files if "link" in name or "outside" in name]


@pytest.mark.parametrize("url", ["https://me:hunter2@host/set", "https://host/set?token=hunter2"])
def test_credentials_in_a_url_are_refused(url) -> None:
    with pytest.raises(DatasetError, match="holds credentials") as told:
        client.Sima2Client("dataset", path=url).source()
    assert "hunter2" not in str(told.value)


def test_kinds_of_url_that_nobody_knows_and_empty_folders_are_named(cache) -> None:
    with pytest.raises(DatasetError, match="is of no kind that fsspec knows"):
        open_mirror("nosuch://set", Cache(cache))
    with pytest.raises(SourceLostError, match="nothing_here: is not there"):
        open_mirror("memory://nothing_here", Cache(cache))


def test_without_fsspec_the_extra_is_named(cache, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"sima2\[remote\]"):
        open_mirror("memory://set", Cache(cache))


def test_a_file_url_is_a_path(here) -> None:
    source = client.Sima2Client("dataset", path=f"file://{here}").source()
    assert source.episodes == len(SEEDS)
    assert client.mirror_of(Path(f"file://{here}")) is None


def test_a_bucket_gives_the_same_results_as_here(here, tmp_path, monkeypatch) -> None:
    for name in ("moto.server", "s3fs"):
        pytest.importorskip(name)
    from moto.server import ThreadedMotoServer

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "hunter2")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        import s3fs

        system = s3fs.S3FileSystem()
        system.mkdir("bucket")
        system.put(str(here), "bucket/set", recursive=True)
        far = run_pipeline(path=Path("s3://bucket/set"), out=tmp_path / "b", jobs=2).values
    finally:
        server.stop()
    assert far["digest"] == run_pipeline(path=here, out=tmp_path / "a").values["digest"]
    told = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"hunter2" not in told
