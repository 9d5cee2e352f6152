"""The bench of copies: judged by a plain copy of the files, of both layouts."""

from sima2.bench.export import TARGETS, rows, run


def test_a_copy_is_judged_against_a_plain_copy_of_the_files() -> None:
    values = run(episodes=8)
    assert set(values["targets"]) == set(TARGETS) == {"copy_over_bytes", "copy_over_bytes_shared_files"}
    for name, target in values["targets"].items():
        assert target["met"] == (values[name] <= 5)
    assert len(rows(values)) == len(values) - 1
