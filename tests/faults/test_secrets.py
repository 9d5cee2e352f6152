"""What lets somebody in never gets into a message or a result."""

import pytest

from sima2 import Sima2Client
from sima2.errors import DatasetError
from sima2.orchestrator import identity
from sima2.pipeline import RunSettings
from unit.io.lerobot_sets import make_v21

SECRET = "hunter2"
URL = f"https://me:{SECRET}@host/set?access_token={SECRET}"


def test_credentials_of_a_path_are_masked(tmp_path) -> None:
    from pathlib import Path

    with pytest.raises(DatasetError) as caught:
        Sima2Client(backend="dataset", path=URL).source()
    assert SECRET not in str(caught.value)
    assert "host/set" in str(caught.value)
    assert SECRET not in str(identity(RunSettings(source="lerobot", path=Path(URL))))


def test_credentials_in_a_data_set_are_masked(tmp_path, monkeypatch) -> None:
    from sima2.io.formats import open_dataset

    monkeypatch.setenv("HF_TOKEN", SECRET)
    root = make_v21(tmp_path / "set", robot_type=URL, codebase_version="v2.1", fps=URL)
    dataset = open_dataset(root)
    got = dataset.read(0, 4)
    assert SECRET not in str(dataset.describe().to_plain()) + str(got.batch.episodes) + str(got.warnings)
