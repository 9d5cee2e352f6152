"""Tables of speed, memory and size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from measured.cells import Row, Values, across, aim, at, digits, grid, judged, met_of, words_of, worst_first

FIGURES: Final[Mapping[str, tuple[Row, ...]]] = {
    "throughput": (
        Row("rollouts made per CPU-second, all channels and truth", "generator_rollouts_per_cpu_s", ",.0f"),
        Row("whole chain, generation to committed store: rollouts per CPU-second", "chain_rollouts_per_cpu_s", ",.0f"),
        Row("… rollouts a second", "chain_rollouts_per_wall_s", ",.0f"),
        Row("segmentation within the chain, frames per CPU-second", "stage_frames_per_cpu_s/segment", ",.0f"),
        Row(
            "reading a recorded set with all checks, over reading its columns with pyarrow alone",
            "source_stage_over_columns",
            ".1f",
        ),
        Row("… where a file holds 500 episodes", "source_stage_over_columns_shared_files", ".1f"),
        Row("memory, MB", "memory_mb", ",.0f"),
        Row("`sima2 --help`, CPU-seconds", "help_cpu_s"),
        Row("true risk of the generator: Brier skill", "risk_brier_skill"),
        Row("… calibration error", "risk_expected_calibration_error", ".3f"),
        Row("… Brier skill with shuffled risks (control)", "risk_shuffled_brier_skill"),
        Row("RiskTag against failures after its landmark: Brier skill", "risk_tag_brier_skill"),
        Row("… calibration error", "risk_tag_expected_calibration_error", ".3f"),
        Row("… Brier skill with shuffled levels (control)", "risk_tag_shuffled_brier_skill"),
    ),
    "export": (
        Row(
            "LeRobot v3.0 (few large files): CPU time over a plain copy of the files",
            "copy_over_bytes_shared_files",
            ".1f",
        ),
        Row("… over reading and writing its rows with pyarrow", "copy_over_rows_shared_files", ".1f"),
        Row("LeRobot v2.1 (a file an episode): CPU time over a plain copy of the files", "copy_over_bytes", ".1f"),
        Row("… over reading and writing its rows with pyarrow", "copy_over_rows", ".1f"),
    ),
    "view": (
        Row("server: CPU-seconds to the first screen", "server_first_screen_cpu_s"),
        Row("browser: seconds of work to the first screen", "browser_first_screen_s"),
        Row("server: memory, MB", "server_memory_mb", ".0f"),
        Row("slowest of four filters, wish to rows, ms", "slowest_filter_ms", ".0f"),
        Row("click to the timeline of an episode, slowest, ms", "episode_ms", ".0f"),
        Row("one file of 500 episodes, MB", "single_file_mb", ".1f"),
        Row("… seconds of work to its first screen", "single_file_first_screen_s"),
    ),
}
"""Benches of single figures, in words; a figure with an aim that is not among them stands in the table by its name."""


def figures(name: str, values: Values) -> str:
    """Figure, result and aim: those that miss it first."""
    targets = values["targets"]
    listed = [row for row in FIGURES[name] if "/" in row.path or row.path in values]
    listed += [Row(words_of(each), each, ".3g") for each in targets if each not in {row.path for row in listed}]
    rows = []
    for row in listed:
        target = targets.get(row.path)
        result = judged(at(values, row.path)[0], row.form, target)
        rows.append((met_of(target), [row.words, result, aim(target, row.form)]))
    return grid(["figure", "result", "aim"], worst_first(rows))


FORMATS: Final = {
    "npz": "npz",
    "aloha": "ALOHA",
    "droid": "DROID",
    "robomimic": "robomimic",
    "csv": "csv",
    "mcap": "MCAP",
}
READ: Final = (
    Row("frames by feature, over its own library's plain read of the same columns", "over_plain", ".1f"),
    Row("rollouts with all checks, over the same", "door_over_plain", ".1f"),
    Row("µs an episode of the plain read", "plain_us_per_episode", ".0f"),
    Row("memory, MB", "memory_mb", ".0f"),
)
RETURNED: Final = (
    ("lerobot_same_labels", "LeRobot"),
    ("robomimic_same_labels", "robomimic"),
    ("mcap_same_labels", "MCAP on one clock"),
    ("mcap_late_topics_same_labels", "MCAP, topics a few ms apart"),
    ("mcap_slow_things_same_labels", "MCAP, poses of things at half the rate"),
    ("mcap_slow_topics_same_labels", "MCAP, all slower topics at half the rate"),
)


def formats(values: Values) -> str:
    """Cost of reading: a column for each format, the dearest first."""
    names = [name.removesuffix("_memory_mb") for name in values if name.endswith("_memory_mb")]
    names.sort(key=lambda name: -values[f"{name}_over_plain"])
    columns = {
        name: {row.path: values[f"{name}_{row.path}"] for row in READ if f"{name}_{row.path}" in values}
        for name in names
    }
    return across(columns, READ, lambda name, path: values["targets"].get(f"{name}_{path}"), FORMATS)


def formats_labels(values: Values) -> str:
    """Share of frames whose label comes back, the least first."""
    names = sorted((name for name in values if name.endswith("_same_labels")), key=lambda name: values[name])
    words, targets = dict(RETURNED), values["targets"]
    rows = [
        [words.get(name, words_of(name)), judged(values[name], ".1%", targets[name]), aim(targets[name], ".1%")]
        for name in names
    ]
    return grid(["written and read back", "frames with the same label", "aim"], rows)


def stress(values: Values) -> str:
    """The table that the bench itself prints: those that miss their aim first."""
    from sima2.bench.stress import LIMITS

    rows = []
    for row in LIMITS:
        target = values["targets"][row.name]
        result = judged(values[row.name], digits(values[row.name]), target)
        rows.append((met_of(target), [row.words, result, aim(target)]))
    return grid(["figure", "result", "aim"], worst_first(rows))
