"""What every format of the registry promises, whatever its files are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from format_sets import NEEDS_H5PY, SETS, make, opened, signals
from sima2.client import backend_of
from sima2.errors import DataError, DatasetError, UnknownNameError, UsageError
from sima2.io.formats import FORMATS, UNREAD, format_of, is_dataset, open_dataset, source_id_of
from sima2.io.formats.page import formats_page
from sima2.io.frame_rows import frame_numbers
from sima2.orchestrator import open_source
from sima2.pipeline import RunSettings

ROWS = [row.name for row in FORMATS]
GAPS = (0, 1, 4, 11)


@pytest.fixture(params=ROWS)
def name(request: pytest.FixtureRequest) -> str:
    if request.param in NEEDS_H5PY:
        pytest.importorskip("h5py")
    return request.param


def joints(name: str, batch, place: int) -> np.ndarray:
    return batch[place].manipulators[SETS[name].arm].joint_position


def written(name: str, number: int) -> np.ndarray:
    return signals(number, SETS[name].joints)["joints"].astype(np.float32)


def numbers_of(name: str, numbers: tuple[int, ...]) -> list[int]:
    return list(numbers) if SETS[name].numbered else list(range(len(numbers)))


def test_every_row_has_a_set_to_be_tried_on() -> None:
    assert set(ROWS) <= set(SETS)


def test_what_was_written_is_read_under_the_numbers_of_the_source(name: str, tmp_path: Path) -> None:
    path = make(name, tmp_path / "set", GAPS)
    data = opened(name, path)
    assert format_of(path) == name
    assert data.numbers.tolist() == numbers_of(name, GAPS)
    got = data.read(0, 9)
    assert not len(got.quarantine)
    assert got.batch.episodes.episode_index.tolist() == numbers_of(name, GAPS)
    for place, number in enumerate(GAPS):
        assert np.array_equal(joints(name, got.batch, place), written(name, number))
    assert np.allclose(np.diff(got.batch[0].time), 1 / (data.describe().fps or 20.0))


def test_a_part_is_read_as_the_whole_is(name: str, tmp_path: Path) -> None:
    data = opened(name, make(name, tmp_path / "set", GAPS))
    whole = data.read(0, 4).batch
    for place in range(4):
        alone = data.read(place, place + 1).batch
        assert np.array_equal(joints(name, alone, 0), joints(name, whole, place))
        assert alone.episodes.episode_id == whole.episodes.episode_id[place : place + 1]


def test_an_episode_that_is_taken_away_changes_no_other(name: str, tmp_path: Path) -> None:
    some = make(name, tmp_path / "some", (0, 4))
    data = opened(name, some)
    assert data.numbers.tolist() == numbers_of(name, (0, 4))
    assert np.array_equal(joints(name, data.read(0, 2).batch, 1), written(name, 4))


def test_the_source_id_is_of_the_content_wherever_it_lies(name: str, tmp_path: Path) -> None:
    path = make(name, tmp_path / "set", (0, 1))
    before = opened(name, path).source_id
    assert source_id_of(path) == before
    shutil.copytree(tmp_path / "set", tmp_path / "elsewhere" / "copy")
    assert opened(name, tmp_path / "elsewhere" / "copy").source_id == before
    assert opened(name, make(name, tmp_path / "other", (0, 2))).source_id != before


def test_frames_are_numbered_and_none_twice(name: str, tmp_path: Path) -> None:
    path = make(name, tmp_path / "set", GAPS)
    told = frame_numbers(path)
    assert list(told) == numbers_of(name, GAPS)
    assert [len(each) for each in told.values()] == [len(written(name, number)) for number in GAPS]


def test_a_sample_that_is_missing_stays_missing(name: str, tmp_path: Path) -> None:
    def lose(number: int, each: dict[str, np.ndarray]) -> None:
        each["joints"][5, 2] = np.nan

    got = opened(name, make(name, tmp_path / "set", (0, 1), lose)).read(0, 2)
    assert len(got.batch) == 2
    assert np.isnan(joints(name, got.batch, 1)).sum() == 1
    assert np.isnan(joints(name, got.batch, 1)[5, 2])


def test_an_episode_may_lack_what_others_have(name: str, tmp_path: Path) -> None:
    def lose(number: int, each: dict[str, np.ndarray]) -> None:
        if number == 1:
            del each["velocity"]

    got = opened(name, make(name, tmp_path / "set", (0, 1, 2), lose)).read(0, 3)
    assert len(got.batch) + len(got.quarantine) == 3
    last = len(got.batch) - 1
    assert np.array_equal(joints(name, got.batch, last), written(name, 2))
    arm = got.batch[last].manipulators[SETS[name].arm]
    assert arm.gripper_opening is not None or arm.gripper_width is not None, "what one lacks silences the others"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_told_and_takes_no_other_with_it(name: str, share: float, tmp_path: Path) -> None:
    made = SETS[name]
    path = make(name, tmp_path / "set", (0, 1, 2))
    file = sorted((tmp_path / "set").rglob(f"*{made.ends}"))[-1]
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    if made.shared:
        with pytest.raises(DatasetError, match="cannot be read"):
            opened(name, path)
        return
    got = opened(name, path).read(0, 3)
    assert len(got.batch) + len(got.quarantine) == 3
    assert np.array_equal(joints(name, got.batch, 0), written(name, 0))


def test_a_pointer_of_git_lfs_is_known_as_that(name: str, tmp_path: Path) -> None:
    path = make(name, tmp_path / "set", (0,))
    for file in (tmp_path / "set").rglob(f"*{SETS[name].ends}"):
        file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    try:
        told = str(opened(name, path).read(0, 1).quarantine.message[0])
    except DatasetError as error:
        told = str(error)
    assert "git lfs pull" in told


def test_a_link_out_of_the_data_set_is_not_followed(name: str, tmp_path: Path) -> None:
    path = make(name, tmp_path / "set", (0, 1))
    file = sorted((tmp_path / "set").rglob(f"*{SETS[name].ends}"))[-1]
    file.rename(tmp_path / "outside")
    file.symlink_to(tmp_path / "outside")
    if SETS[name].shared:
        with pytest.raises(DatasetError, match="leads out of the data set"):
            opened(name, path)
        return
    got = opened(name, path).read(0, 2)
    assert len(got.quarantine) == 1
    assert "leads out of the data set" in got.quarantine.message[0]


def test_what_is_said_of_it_can_be_shown(name: str, tmp_path: Path) -> None:
    report = opened(name, make(name, tmp_path / "set", (0, 1, 2))).describe()
    text = json.dumps(report.to_plain(), allow_nan=False)
    assert report.format == name
    assert str(tmp_path) not in text
    assert len(text) < 20_000


def test_nothing_of_it_is_changed(name: str, tmp_path: Path) -> None:
    path = make(name, tmp_path / "set", (0, 1))
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.rglob("*") if file.is_file()}
    opened(name, path).read(0, 2)
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.rglob("*") if file.is_file()} == before


def test_no_set_is_of_two_formats(tmp_path: Path) -> None:
    for name in ROWS:
        if name in NEEDS_H5PY:
            pytest.importorskip("h5py")
        path = make(name, tmp_path / name, (0,))
        assert [row.name for row in FORMATS if row.fits(path)] == [name]


@pytest.mark.parametrize(
    ("file", "format_name"), [("a.tfrecord-00000-of-1", "rlds"), ("x.zarr/.zgroup", "zarr"), ("a.bag", "rosbag")]
)
def test_a_known_format_that_is_not_read_is_told_with_the_way_on(file: str, format_name: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("")
    row = next((each for each in UNREAD if each.name == format_name), None)
    if row is None:
        pytest.skip("it is read by now")
    with pytest.raises(DataError, match=f"format {format_name}, which is not read") as told:
        format_of(tmp_path)
    assert row.way_on in str(told.value)


def test_what_is_none_names_all_marks(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    assert not is_dataset(tmp_path)
    with pytest.raises(DatasetError) as told:
        format_of(tmp_path)
    assert all(f"{row.mark} ({row.name})" in str(told.value) for row in FORMATS)


def test_every_row_says_what_documents_need_and_every_command_knows_it(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError) as told:
        backend_of("parchment")
    for row in FORMATS:
        assert row.read
        assert row.guessed
        assert row.missing
        assert row.name in str(told.value)
        assert backend_of(row.name) == "dataset"
    path = make("csv", tmp_path / "set", (0,))
    with pytest.raises(UsageError, match="format csv, not lerobot"):
        open_source(RunSettings(source="lerobot", path=path))
    with pytest.raises(UsageError, match=r"--map.*row \[15\]: 0 q0, 1 q1"):
        open_dataset(path)


def test_the_page_of_formats_is_that_of_the_registry() -> None:
    written = Path(__file__).parents[2] / "docs/formats.md"
    assert written.read_text(encoding="utf-8") == formats_page(), "give: python scripts/write_formats.py"
