"""HDF5 from anyone: what leads elsewhere, claims more than is there, or breaks the library ends in words."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from format_sets import make, opened, signals
from sima2.errors import DatasetError, MissingExtraError
from sima2.io.formats import format_of, hdf5, open_dataset

h5py = pytest.importorskip("h5py")

JOINTS = "data/demo_0/obs/robot0_joint_pos"


def changed(tmp_path: Path, change: Callable[[object, Path], None]):
    """A set of robomimic's of two episodes, the first of which is changed; as it is read."""
    path = make("robomimic", tmp_path / "set", (0, 1))
    with h5py.File(path / "low_dim.hdf5", "r+") as file:
        change(file, tmp_path)
    data = open_dataset(path)
    return data, data.read(0, 2)


def external_link(file, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.hdf5", "w") as other:
        other["x"] = signals(0)["joints"]
    del file[JOINTS]
    file[JOINTS] = h5py.ExternalLink("../secret.hdf5", "/x")


def soft_link(file, tmp_path: Path) -> None:
    del file[JOINTS]
    file[JOINTS] = h5py.SoftLink("/data/demo_1/obs/robot0_joint_pos")


def virtual(file, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.hdf5", "w") as other:
        other["x"] = signals(0)["joints"]
    shape = file[JOINTS].shape
    del file[JOINTS]
    layout = h5py.VirtualLayout(shape=shape, dtype="f8")
    layout[:] = h5py.VirtualSource("../secret.hdf5", "x", shape=shape)
    file.create_virtual_dataset(JOINTS, layout)


def external_storage(file, tmp_path: Path) -> None:
    shape = file[JOINTS].shape
    del file[JOINTS]
    file.create_dataset(JOINTS, shape, "f8", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def bomb(file, tmp_path: Path) -> None:
    del file[JOINTS]
    file.create_dataset(JOINTS, (4_000_000, 7), "f8", chunks=(1000, 7), compression="gzip")


def huge(file, tmp_path: Path) -> None:
    del file[JOINTS]
    file.create_dataset(JOINTS, (10**15, 7), "f8", chunks=(1000, 7))


def huge_chunk(file, tmp_path: Path) -> None:
    del file[JOINTS]
    file.create_dataset(JOINTS, (70, 7), "f8", chunks=(2_000_000, 7), maxshape=(None, 7), compression="gzip")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (external_link, "a link to another file"),
        (soft_link, "a soft link"),
        (virtual, "a virtual array"),
        (external_storage, "in another file"),
        (bomb, "of which the file holds"),
        (huge, "claims 56000000000000000 bytes"),
        (huge_chunk, "chunks of"),
    ],
)
def test_what_leads_out_of_a_file_or_claims_too_much_is_put_aside(
    change: Callable[[object, Path], None], told: str, tmp_path: Path
) -> None:
    _, got = changed(tmp_path, change)
    assert len(got.batch) == 1
    assert told in got.quarantine.message[0]
    assert got.quarantine.reason[0] == "unreadable"


def test_texts_and_records_are_no_features(tmp_path: Path) -> None:
    def change(file, _: Path) -> None:
        file["data/demo_0/obs/words"] = ["one", "two"]
        file["data/demo_0/obs/records"] = np.zeros(3, [("a", "f8"), ("b", "i4")])
        file["data/demo_0/obs/bytes"] = np.array([b"ab", b"c"])

    data, got = changed(tmp_path, change)
    assert len(got.batch) == 2
    assert not {"obs/words", "obs/records", "obs/bytes"} & set(data.source.features)


def test_a_way_of_packing_that_no_library_brings_is_named(tmp_path: Path) -> None:
    def change(file, _: Path) -> None:
        values = file[JOINTS][()]
        del file[JOINTS]
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((10, 7))
        made.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple(values.shape)
        h5py.h5d.create(file["data/demo_0/obs"].id, b"robot0_joint_pos", h5py.h5t.IEEE_F64LE, space, made)

    _, got = changed(tmp_path, change)
    assert "filter 32015" in got.quarantine.message[0]


def test_a_reader_that_dies_costs_an_episode_and_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make("aloha", tmp_path / "set", (0, 1, 2))
    data = opened("aloha", path)
    child = hdf5._child()
    told, count = child.told, [0]

    def dies():
        count[0] += 1
        if count[0] == 1:
            os.kill(child.process.pid, signal.SIGKILL)
            child.process.wait()
            child._rest = b""
            raise hdf5._Dead("brought the HDF5 library down")
        return told()

    monkeypatch.setattr(child, "told", dies)
    got = data.read(0, 3)
    assert len(got.batch) == 2
    assert "brought the HDF5 library down" in got.quarantine.message[0]


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make("robomimic", tmp_path / "set", (0,))
    monkeypatch.setattr(hdf5, "find_spec", lambda _: None)
    assert format_of(path) == "robomimic"
    with pytest.raises(MissingExtraError, match=r"sima2\[hdf5\]"):
        open_dataset(path)


def test_members_that_are_many_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "many.hdf5", "w", libver="latest") as file:
        group = file.create_group("data")
        for k in range(5):
            group.create_group(f"demo_{k}")
    names, _ = hdf5.names_in(tmp_path / "many.hdf5", "data")
    assert sorted(names) == [f"demo_{k}" for k in range(5)]
    with pytest.raises(DatasetError, match="holds no observations"):
        open_dataset(tmp_path / "many.hdf5")


def test_an_hdf5_file_of_no_known_format_tells_what_it_holds(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["trial/q"] = np.zeros(3)
    with pytest.raises(DatasetError, match="its HDF5 files hold trial"):
        format_of(tmp_path / "x.hdf5")


def test_a_chain_of_json_in_an_attribute_is_no_harm(tmp_path: Path) -> None:
    def change(file, _: Path) -> None:
        file["data"].attrs["env_args"] = "[" * 50_000
        file["data/demo_0"].attrs["ep_meta"] = json.dumps({"lang": "x" * 60_000})
        file["data/demo_1"].attrs["num_samples"] = np.uint64(2**63)

    data, got = changed(tmp_path, change)
    assert len(got.batch) == 2
    assert data.describe().fps == 20.0
