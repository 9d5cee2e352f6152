"""A small finished run, made by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sima2 import __version__
from sima2.io.store import Coming, Store
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable
from sima2.records.intake import QuarantineTable
from sima2.records.knowledge import ProposalTable
from sima2.records.plan import AuditTable, SamplePlan
from sima2.records.segments import SegmentTable
from sima2.records.signals import NOTHING, STRETCHES, SignalTable
from sima2.records.table import Text
from sima2.records.tags import TagTable
from sima2.records.trust import TrustMatrix, TrustRow
from sima2.report.inputs import ReportInput

NAN = math.nan
STEPS = (
    ("idle", "", 0.6, "unknown", ""),
    ("approach", "cup", 1.4, "unknown", ""),
    ("grasp", "cup", 0.7, "retry", "missed_grasp"),
    ("recovery_maneuver", "cup", 1.1, "success", ""),
    ("grasp", "cup", 0.8, "success", ""),
    ("lift", "cup", 0.9, "success", ""),
    ("transport", "cup", 1.9, "success", ""),
    ("slip", "cup", 0.2, "unknown", ""),
    ("collision", "shelf", 0.3, "unknown", ""),
    ("place", "cup", 0.9, "failure", "misplaced"),
    ("release", "cup", 0.4, "success", ""),
    ("retreat", "", 1.2, "unknown", ""),
)
DT = 0.05


def segments_of(episode: str, arms: tuple[str, ...] = ("arm",)) -> SegmentTable:
    """The twelve steps, for each arm."""
    length = np.array([step[2] for step in STEPS])
    end_t = np.cumsum(length)
    n = len(STEPS)
    parts = []
    for k, arm in enumerate(arms):
        nothing = np.full(n, NAN, np.float32)
        end = np.round(end_t / DT).astype(int)
        parts.append(
            SegmentTable(
                episode_index=[0] * n,
                episode_id=[episode] * n,
                manipulator=[arm] * n,
                segment_id=np.arange(n) + k * n,
                label=[step[0] for step in STEPS],
                object=[step[1] for step in STEPS],
                start_frame=np.r_[0, end[:-1]],
                end_frame=end,
                start_t=np.r_[0, end_t[:-1]],
                end_t=end_t,
                outcome=[step[3] for step in STEPS],
                failure_reason=[step[4] for step in STEPS],
                confidence=np.full(n, 0.91, np.float32),
                channels_used=["motion+gripper"] * n,
                **dict.fromkeys(
                    (
                        "max_speed",
                        "distance",
                        "peak_force",
                        "impulse",
                        "grip_force",
                        "width_change",
                        "object_moved",
                        "max_joint_speed",
                        "max_joint_torque",
                        "energy_wh",
                    ),
                    nothing,
                ),
            )
        )
    return SegmentTable.concat(parts)


def tags_of(episode: str) -> TagTable:
    """Risk, a span of strangeness, a recovery, and a fragility that could not be assessed."""
    rows = (
        ("RiskTag", "predictive", 0.86, 0.86, "landmark", 0, 40, "grip margin 0.8 N, speed 0.61 m/s"),
        ("OODTag", "predictive", 1.0, 0.8, "kinematic", 100, 134, "joint 3 at 1.31 of the 99th percentile"),
        ("RecoveryTag", "diagnostic", 0.93, NAN, "re_grasp", 54, 92, "missed_grasp mended in 1.9 s"),
        ("FragilityTag", "predictive", NAN, NAN, "uncalibrated", 0, 208, ""),
        ("LuckySuccessTag", "diagnostic", 0.0, NAN, "rule", 0, 208, ""),
    )
    n = len(rows)
    return TagTable(
        episode_index=[0] * n,
        episode_id=[episode] * n,
        tag=[row[0] for row in rows],
        kind=[row[1] for row in rows],
        value=np.full(n, NAN),
        level=[row[2] for row in rows],
        severity=[row[3] for row in rows],
        source=[row[4] for row in rows],
        start_frame=[row[5] for row in rows],
        end_frame=[row[6] for row in rows],
        details=[row[7] for row in rows],
        available_at_frame=[row[6] for row in rows],
    )


def signal_of(episode: str, success: bool | None = True) -> dict[str, Any]:
    """Force with a gap, width, and a channel of which nothing was recorded."""
    time = np.round(np.arange(0, 10.4, 0.1), 3)
    force = np.where(np.abs(time - 7.6) < 0.2, 18.0, 0.4) + 0.2 * np.sin(9 * time)
    return {
        "episode_id": episode,
        "family": "pick_and_place",
        "time": time.tolist(),
        "tracks": [
            {
                "name": "contact_force",
                "unit": "N",
                "values": [None if 2 < t < 3 else v for t, v in zip(time, force.tolist())],
            },
            {
                "name": "gripper_width",
                "unit": "m",
                "values": np.interp(time, [2, 2.6, 9, 9.3], [0.08, 0.04, 0.04, 0.08]).tolist(),
            },
            {"name": "hand speed", "unit": "m/s", "values": np.abs(np.sin(time) * np.cos(2.3 * time) * 0.6).tolist()},
            {"name": "grip_force", "unit": "N", "values": [None] * len(time)},
        ],
        "success": success,
        "outcome_source": "task_sensor",
    }


def drawn_signals(episode: str) -> SignalTable:
    """The hand's place and a gripper of which nothing was recorded, as the page draws them."""
    place = np.arange(STRETCHES, dtype=np.uint8)
    return SignalTable(
        episode_index=np.zeros(4, np.int64),
        episode_id=[episode] * 4,
        manipulator=["arm"] * 4,
        signal=["hand x", "hand y", "hand z", "gripper width"],
        unit=["m"] * 4,
        low=np.array([0, -0.2, 0.1, NAN], np.float32),
        high=np.array([0.5, 0.2, 0.4, NAN], np.float32),
        least=np.stack([place, place[::-1], place, np.full(STRETCHES, NOTHING, np.uint8)]),
        most=np.stack([place + 9, place[::-1] + 9, place + 2, np.full(STRETCHES, NOTHING, np.uint8)]),
    )


def trust_row(tag: str, level: float, effect: float, half: float, reason: str = "ok", **changes: Any) -> TrustRow:
    """A verdict."""
    row = TrustRow(
        tag=tag,
        trust_level=level,
        tier="trusted" if level > 0.8 else "provisional" if level > 0.5 else "untrusted",
        correlation_strength="medium",
        economic_impact=1.25 if level else NAN,
        cost_field="damage",
        note="",
        effect=effect,
        interval=(effect - half, effect + half),
        p_value=0.001,
        q_value=0.004,
        n_tagged=212,
        n=1240,
        strata=18,
        reason=reason,
        digest="0" * 16,
        needs_recalibration=False,
    )
    return replace(row, **changes)


def trust_rows() -> dict[str, TrustRow]:
    """One of each kind of verdict."""
    rows = (
        trust_row("RiskTag", 0.87, 0.52, 0.09),
        trust_row("RecoveryTag", 0.63, 0.34, 0.13, note="judged by the attempt, among episodes that had failed"),
        trust_row("OODTag", 0.0, 0.04, 0.11, "not_significant"),
        trust_row("LuckySuccessTag", 0.0, 0.98, 0.01, "leak"),
        trust_row("FragilityTag", 0.0, NAN, NAN, "constant_tag", n_tagged=0, p_value=NAN, q_value=NAN),
    )
    return {row.tag: row for row in rows}


def summary() -> dict[str, Any]:
    """What summary.json holds."""
    return {
        "sima2_version": __version__,
        "source": "synthetic",
        "seed": 0,
        "episodes": {"in": 1250, "ok": 1240, "quarantined": 10, "skipped": 0},
        "frames": 251_420,
        "segments": 11_873,
        "primitives": 9_310,
        "labels": {
            "approach": 2480,
            "grasp": 2210,
            "idle": 1400,
            "transport": 1102,
            "retreat": 990,
            "slip": 120,
            "unknown": 31,
        },
        "segment_outcomes": {"success": 6000, "failure": 900, "retry": 410, "unknown": 4563},
        "episode_outcomes": {"success": 930, "failure": 290, "unknown": 20, "source": "task_sensor"},
        "tags": {
            "RiskTag": {"assessed": 1240, "fired": 212, "share": 0.171},
            "FragilityTag": {"assessed": 0, "fired": 0, "share": None},
            "OODTag": {"assessed": 1228, "fired": 49, "share": 0.0399},
            "RecoveryTag": {"assessed": 1240, "fired": 178, "share": 0.1435},
        },
        "costs": {
            "duration_s": {"n": 1240, "mean": 10.2, "median": 9.6, "p90": 15.1},
            "energy_wh": {"n": 1240, "mean": 0.213, "median": 0.19, "p90": 0.35},
            "damage": {"n": 1240, "mean": 1.44, "median": 0.0, "p90": 4.2},
            "mpl": {"n": 1220, "mean": 270.0, "median": 301.0, "p90": 410.0},
        },
        "statistics": [
            {
                "name": "risk_premium",
                "n": 1240,
                "value": 2.9,
                "low": 2.2,
                "high": 3.8,
                "note": "damage with RiskTag over without, stratified",
            },
            {
                "name": "recovery_value",
                "n": 310,
                "value": NAN,
                "low": None,
                "high": None,
                "note": "raw; biased: compares with clean successes",
            },
        ],
        "trust": {
            tag: {"trust_level": row.trust_level, "tier": row.tier, "reason": row.reason}
            for tag, row in trust_rows().items()
        },
        "proposals": {
            "affordance": {"accepted": 21, "refused": 2, "pending_trust": 0},
            "safety_stop": {"accepted": 0, "refused": 1, "pending_trust": 7},
        },
        "weights": {"effective_sample_size": 801.5, "largest": 4.1, "uniform": False},
        "not_assessed": ["torque limits: no joint_torque in 12 episodes"],
        "warnings": ["the clock of 3 episodes jumps"],
        "alerts": [{"tag": "OODTag", "kind": "untrusted", "message": "earns no trust yet; gather more episodes"}],
        "nominal": {"episodes": 149, "rule": "designated by the source"},
        "column_map": None,
        "digest": "4f3a" * 16,
        "seconds": {"pass1": 2.1, "pass2": 3.4, "finalize": 0.6},
    }


def made_report(names: tuple[str, ...] = ("pick_and_place-000007", "drawer_open-000113")) -> ReportInput:
    """The finished run, with episodes of these names."""
    rng = np.random.default_rng(7)
    n = 400
    ids = [*names, *(f"e{i:04d}" for i in range(n - len(names)))]
    p = rng.uniform(0.5, 3, n)
    return ReportInput(
        summary=summary(),
        trust=trust_rows(),
        segments=SegmentTable.concat(
            [segments_of(name, ("left", "right") if i else ("arm",)) for i, name in enumerate(names)]
        ),
        tags=TagTable.concat([tags_of(name) for name in names]),
        econ=EconTable(
            episode_id=ids,
            success=(rng.random(n) < 0.7).astype(float),
            duration_s=rng.gamma(8, 1.2, n),
            mpl=rng.normal(280, 60, n),
            energy_wh=rng.gamma(5, 0.04, n),
            damage=rng.exponential(1.0, n) * (rng.random(n) < 0.2),
            wage_parity=np.full(n, NAN),
            resilience=np.full(n, NAN),
            outcome_source=["task_sensor"] * n,
        ),
        proposals=ProposalTable(
            proposal_id=["a1", "b2"],
            kind=["affordance", "safety_stop"],
            object=["drawer", "cup"],
            action=["pull", ""],
            reason=["", ""],
            priority=[0.9, 0.7],
            confidence=[0.95, 0.8],
            support=[412, 7],
            trials=[430, 49],
            source_tag=["", "OODTag"],
            status=["accepted", "pending_trust"],
            status_reason=["", "OODTag is untrusted"],
            rationale=["pulling moved it in 412 of 430 trials", "critical strangeness went on without a correction"],
            episodes=["[]", "[]"],
        ),
        quarantine=QuarantineTable(
            episode_index=[3, 9, 11],
            episode_id=["bad-3", "bad-9", "bad-11"],
            reason=["empty", "not_finite", "empty"],
            source=["synthetic"] * 3,
            start_frame=[0, 12, 0],
            end_frame=[0, 13, 0],
            message=["no frames", "joint_position is infinite at frame 12", "no frames"],
        ),
        plan=SamplePlan(
            episode_index=np.arange(n),
            episode_id=ids,
            p=p / p.sum(),
            is_weight=p.min() / p,
            reasons=["RiskTag raised it"] * n,
        ),
        audit=audit_of(ids),
        episodes=episodes_of(ids),
        signals=[signal_of(name, [True, False, None][i % 3]) for i, name in enumerate(names)],
    )


def write_folder(out: Path, report: ReportInput | None = None, *, trust: dict[str, TrustRow] | None = None) -> Path:
    """The finished run as an output folder, written through the store as the pipeline does."""
    report = report or made_report()
    ids = list(report.plan.episode_id)
    came = report.summary["episodes"]["in"]
    signals = SignalTable.concat([drawn_signals(name) for name in dict.fromkeys(report.segments.episode_id)])
    with Store.open(out, [Coming({"seed": 0}, episodes=came, numbers_end=came)]) as store:
        store.commit("pass1", 0, {"segments": report.segments, "econ": report.econ, "signals": signals}, {})
        store.commit("pass2", 0, {"tags": report.tags}, {})
        store.write_table("episodes", episodes_of(ids))
        store.write_table("proposals", report.proposals)
        store.write_table("quarantine", report.quarantine)
        store.write_table("weights", report.plan)
        store.write_table("audit", audit_of(ids))
        store.write_text("trust_matrix.json", TrustMatrix(report.trust if trust is None else trust).to_json())
        values = {**report.summary, "digest": store.digest()}
        values["statistics"] = [
            {**row, "value": None if row["value"] != row["value"] else row["value"]} for row in values["statistics"]
        ]
        store.write_text("summary.json", json.dumps(values))
    return out


def audit_of(ids: list[str]) -> AuditTable:
    """All passed but the first two."""
    n = len(ids)
    return AuditTable(
        episode_id=ids,
        action=["drop", "review", *["keep"] * (n - 2)],
        status=["rejected", "requires_review", *["passed"] * (n - 2)],
        quality=np.r_[0.1, 0.5, np.full(n - 2, 0.9)],
        reasons=["ends in mid-air", "critical OODTag", *[""] * (n - 2)],
        codes=["no_segment", "severe_ood", *[""] * (n - 2)],
    )


def episodes_of(ids: list[str]) -> EpisodeTable:
    """The rows of the episodes of these ids."""
    n = len(ids)
    word = Text.full(n, "x")
    return EpisodeTable(
        episode_index=np.arange(n),
        episode_id=ids,
        family=[name.rpartition("-")[0] or "unknown" for name in ids],
        robot=word,
        policy=word,
        session=word,
        instruction=word,
        debug_mode=np.zeros(n, np.bool_),
        frames=np.full(n, 208),
        duration_s=np.full(n, 10.4),
        success=np.where(np.arange(n) % 3 == 2, NAN, np.arange(n) % 3 == 0),
        outcome_source=Text.full(n, "task_sensor"),
        inferred_success=np.ones(n),
        inferred_confidence=np.ones(n, np.float32),
        inferred_end=Text.full(n, ""),
        failure_reason=Text.full(n, ""),
        nominal=np.zeros(n, np.bool_),
        segments=np.full(n, 12),
        defects=np.zeros(n, np.int64),
        worst_defect=Text.full(n, ""),
        defect_severity=np.zeros(n),
        source=word,
        source_index=np.arange(n),
    )
