"""Hand-made episodes for the tests of tags: a gripper that closes on a block, and tables of observations."""

from __future__ import annotations

import numpy as np

from sima2.records.rollout import Goal, Rollout, RolloutBatch
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.tags.observations import KINEMATICS, PLAIN, RiskObservations, SegmentObservations
from sima2.tags.prefix import FEATURES

CONTACT = 40
FRAMES = 90


def reach(seed: int, *, name: str | None = None, frames: int = FRAMES, contact: int = CONTACT, **changes) -> Rollout:
    """A hand that approaches a block for ``contact`` frames at 20 Hz, closes on it and pulls."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames)
    way = np.clip(t / contact, 0, 1)[:, None]
    block = np.array([0.5, 0.1, 0.2]) + 0.02 * rng.standard_normal(3)
    hand = (1 - way) * np.array([0.1, 0.0, 0.5]) + way * block + 0.0005 * rng.standard_normal((frames, 3))
    after = t >= contact
    values = {
        "episode_id": name or f"reach-{seed:05d}",
        "time": t / 20.0,
        "ee_position": hand,
        "gripper_width": np.where(t < contact - 4, 0.08, np.maximum(0.08 - 0.01 * (t - contact + 5), 0.04)),
        "grip_force": np.where(after, 8.0, 0.0) + 0.05 * rng.standard_normal(frames),
        "contact_force": np.abs(np.where(after, 3.0, 0.0) + 0.05 * rng.standard_normal(frames)),
        "joint_velocity": 0.3 * rng.standard_normal((frames, 4)),
        "joint_torque": 2.0 + 0.1 * rng.standard_normal((frames, 4)),
        "object_position": {
            "block_a": np.tile(block, (frames, 1)),
            "wall": np.tile(block + np.array([0.3, 0.0, 0.0]), (frames, 1)),
        },
        "object_confidence": {"block_a": np.full(frames, 0.9), "wall": np.full(frames, 0.8)},
        "embedding": rng.standard_normal((frames, 3)) * 0.1 + [1.0, 0.5, 0.0],
        "family": "pulling",
        "goal": Goal(object="block_a", relation="opened"),
    }
    return Rollout(**{**values, **changes})


def batch_of(n: int, **changes) -> RolloutBatch:
    return RolloutBatch.from_rollouts([reach(seed, **changes) for seed in range(n)])


def halves(batch: RolloutBatch) -> SegmentTable:
    """A causal toy segmenter: free before the fingers feel something, ``pull`` from then on."""
    rows = []
    for rollout in batch:
        force = np.asarray(rollout.grip_force) if rollout.grip_force is not None else np.zeros(len(rollout))
        felt = np.flatnonzero(force > 2.0)
        cut = int(felt[0]) if len(felt) else len(rollout)
        for label, start, stop in (("approach", 0, cut), ("pull", cut, len(rollout))):
            if stop > start:
                rows.append({"episode_id": rollout.episode_id, "label": label, "start_frame": start, "end_frame": stop})
    return segments_of(rows, hertz=20.0)


DEFAULTS = {
    "episode_index": 0,
    "manipulator": "arm",
    "object": "block_a",
    "outcome": "success",
    "failure_reason": "",
    "confidence": 0.9,
    "channels_used": "ee_position+contact_force",
    "max_speed": 0.3,
    "distance": 0.1,
    "peak_force": 2.0,
    "impulse": 0.1,
    "grip_force": 1.0,
    "width_change": 0.0,
    "object_moved": 0.0,
    "max_joint_speed": 1.0,
    "max_joint_torque": 5.0,
    "energy_wh": 0.01,
}


def segments_of(rows: list[dict], *, hertz: float = 20.0) -> SegmentTable:
    """A segment table from partial rows; frames default to 20 each, one after the other."""
    count: dict[str, int] = {}
    clock: dict[str, int] = {}
    full = []
    for row in rows:
        eid = row["episode_id"]
        start = row.get("start_frame", clock.get(eid, 0))
        stop = row.get("end_frame", start + 20)
        clock[eid] = stop
        k = count[eid] = count.get(eid, -1) + 1
        full.append(
            {
                **DEFAULTS,
                "segment_id": k,
                "start_t": start / hertz,
                "end_t": stop / hertz,
                **row,
                "start_frame": start,
                "end_frame": stop,
            }
        )
    if not full:
        return SegmentTable.empty()
    columns = {}
    for name, dtype in SegmentTable.columns().items():
        values = [row[name] for row in full]
        columns[name] = Text.of(values) if dtype is None else np.array(values, dtype)
    return SegmentTable(**columns)


def story(eid: str, text: str) -> list[dict]:
    """Rows from words: ``grasp- recovery_maneuver grasp+`` (``-`` failure, ``~`` retry, ``+`` success)."""
    outcome = {"-": "failure", "~": "retry", "+": "success"}
    rows = []
    for word in text.split():
        mark = outcome.get(word[-1])
        label, _, reason = word.rstrip("+-~").partition(":")
        rows.append(
            {"episode_id": eid, "label": label, "outcome": mark or "unknown", "failure_reason": reason if mark else ""}
        )
    return rows


def observed(
    n: int, seed: int, *, d: int = 4, strange: frozenset[int] = frozenset(), slope: float = 0.0, start: int = 0
) -> tuple[SegmentObservations, RiskObservations, np.ndarray, np.ndarray]:
    """Observations of n episodes of four segments, whose failure follows a logistic law of one feature.

    Returns:
        segments, risk, failed, probability.
    """
    rng = np.random.default_rng(seed)
    names = [f"e{start + i:06d}" for i in range(n)]
    labels = ["approach", "grasp", "pull", "retreat"]
    family = np.array(["pulling", "lifting"])[rng.integers(0, 2, n)]
    feature = np.abs(rng.standard_normal((n, len(FEATURES))) + 3.0)
    probability = 1 / (1 + np.exp(-slope * (feature[:, 3] - 3.0)))
    failed = rng.random(n) < probability
    centre = rng.standard_normal((4, d)) * 0 + np.eye(4, d) + 1.0
    rows = []
    embedding = []
    for i, name in enumerate(names):
        cut_at = 20
        for cut in (False, True):
            for k, label in enumerate(labels[:1] if cut else labels):
                alien = i in strange
                embedding.append((-1.0 if alien else 1.0) * centre[k] + 0.15 * rng.standard_normal(d))
                rows.append((name, family[i], cut, k, label, 20 * k, cut_at if cut else 20 * k + 20))
    m = len(rows)
    columns = list(zip(*rows, strict=True))
    kinematic = np.exp(0.3 * rng.standard_normal((m, len(KINEMATICS))) + 0.1 * rng.standard_normal((m, 1)))
    segments = SegmentObservations(
        episode_id=Text.of(columns[0]),
        family=Text.of(columns[1]),
        cut=np.array(columns[2]),
        segment_id=np.array(columns[3]),
        label=Text.of(columns[4]),
        object=Text.full(m, "block_a"),
        start_frame=np.array(columns[5]),
        end_frame=np.array(columns[6]),
        failed=np.zeros(m, bool),
        confidence=rng.uniform(0.7, 1.0, m),
        log_duration=0.2 * rng.standard_normal(m),
        **{name: np.exp(0.1 * rng.standard_normal(m)) for name in PLAIN if name not in ("grip_force", "log_duration")},
        **dict(zip(KINEMATICS, kinematic.T, strict=True)),
        embedding=np.array(embedding, np.float32).reshape(m, d),
    )
    risk = RiskObservations(
        episode_id=Text.of(names),
        family=Text.of(family.tolist()),
        object=Text.full(n, "block_a"),
        landmark=np.full(n, 20),
        contact=np.ones(n, bool),
        failed_before=np.zeros(n, bool),
        feature=feature,
        embedding=rng.standard_normal((n, d)).astype(np.float32),
    )
    return segments, risk, failed, probability
