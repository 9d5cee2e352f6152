"""Tables of segments, tags and trust on made rollouts, of answers by example and of videos."""

from __future__ import annotations

from typing import Final

from measured.cells import (
    Row,
    Target,
    Values,
    across,
    aim,
    digits,
    grid,
    judged,
    met_of,
    told,
    words_of,
    worst_first,
)

SOURCES: Final = {
    "synthetic": "library, 20 Hz",
    "synthetic_50_hz": "library, 50 Hz",
    "mujoco": "MuJoCo",
    "mujoco_left_out": "another robot in MuJoCo",
    "mujoco_unseen": "a robot never used to mend rules",
}
BACKENDS: Final = {"synthetic": "library", "mujoco": "MuJoCo"}
SEGMENTS: Final = (
    Row("episodes", "overall/episodes", "d"),
    Row("F1@50 of segments", "overall/f1_50", ".1f"),
    Row("edit score", "overall/edit", ".1f"),
    Row("frames labelled correctly", "overall/frame_accuracy", ".0%"),
    Row("frames left `unknown`", "overall/unknown_share", ".1%"),
    Row("F1@50 of boosted trees that saw labels of the same generator", "learned_oracle/full/f1_50", ".1f"),
    Row("… ahead of the rules by", "f1_50_behind_oracle", ".1f"),
    Row("… trees that saw labels of the usual MuJoCo cell instead", "learned_oracle_transferred/full/f1_50", ".1f"),
    Row("F1@50 of gripper toggles alone (control)", "rivals/gripper_toggles/f1_50", ".0f"),
    Row("… of own segments shuffled in time (control)", "rivals/shuffled_in_time/f1_50", ".0f"),
    Row("failures: precision", "overall/failure_precision"),
    Row("… recall", "overall/failure_recall"),
    Row("recoveries: precision", "overall/recovery_precision"),
    Row("… recall", "overall/recovery_recall"),
    Row("nominal episodes", "overall/nominal_episodes", "d"),
    Row("… with a false slip or collision", "overall/false_alarm_share", ".1%"),
    Row("calibration error of confidence", "overall/calibration_error"),
    Row("F1@50 without force", "channel_sets/without_force/f1_50", ".1f"),
    Row("F1@50 without object poses", "channel_sets/without_object_poses/f1_50", ".1f"),
    Row("F1@50, joints and gripper only", "channel_sets/joints_and_gripper/f1_50", ".1f"),
    Row("frames per CPU-second", "engine_frames_per_cpu_s", ",.0f"),
    Row("rollouts made per CPU-second", "rollouts_per_cpu_s", ",.0f"),
    Row("µs to push one frame, mean", "online/online_push_us_mean", ".0f"),
    Row("… 99th percentile", "online/online_push_us_p99", ".0f"),
)


def segmentation(values: Values) -> str:
    """A column for each source, the worst first."""
    targets = values["targets"]
    found = {name: each for name, each in values["sources"].items() if each["available"]}
    columns: dict[str, Values] = {}
    for name in sorted(found, key=lambda name: found[name]["overall"]["f1_50"]):
        behind = targets.get(f"{name}: f1_50_behind_oracle", {}).get("value")
        columns[name] = {**found[name], "f1_50_behind_oracle": behind}

    def target(source: str, path: str) -> Target | None:
        channels, _, figure = path.rpartition("/")
        if channels.startswith("channel_sets/"):
            figure = f"{figure}_{channels.removeprefix('channel_sets/')}"
        elif channels not in ("", "overall", "online"):
            return None
        bound: Target | None = targets.get(f"{source}: {figure}")
        return bound

    return across(columns, SEGMENTS, target, SOURCES)


MEANING: Final = (
    Row("episodes judged", "judged", ",d"),
    Row("RecoveryTag: precision", "recovery_precision"),
    Row("… recall", "recovery_recall"),
    Row("… given to label-free noise (control)", "noise_recovery_share", ".1%"),
    Row("OODTag: nominal rollouts flagged", "ood_nominal_flagged", ".1%"),
    Row("… upper 95 % bound", "ood_nominal_flagged_upper", ".1%"),
    Row("… told from nominal, AUROC: alien object", "ood_visual_auroc"),
    Row("… unusual speed", "ood_kinematic_auroc"),
    Row("… unusual force", "ood_force_auroc"),
    Row("… drawn out", "ood_temporal_auroc"),
    Row("… the right source named, of what fired", "ood_source_right"),
    Row("… flagged where an object is only *called* alien (control)", "only_named_alien_flagged"),
    Row("RiskTag: AUROC for a later failure, from the prefix", "risk_auroc"),
    Row("… elapsed time at the landmark alone, the better way round", "risk_elapsed_auroc"),
    Row("… families in which it does not beat elapsed time", "risk_families_behind_rival", "d"),
    Row("… with shuffled failures (control)", "shuffled_risk_auroc"),
    Row("… calibration error", "risk_calibration_error"),
    Row("… share of episodes called risky", "risk_share_high", ".1%"),
    Row("LuckySuccessTag where RiskTag is high: episodes", "lucky", "d"),
    Row("… precision", "lucky_precision"),
    Row("… recall", "lucky_recall"),
    Row("… given to label-free noise (control)", "noise_lucky_share", ".1%"),
    Row("observable affordances missed", "affordances_missed", "d"),
    Row("… stated and false", "affordances_false", "d"),
    Row("planted weak steps missed", "fragile_missed", "d"),
    Row("… robust ones named", "fragile_false", "d"),
    Row("proposals accepted, of those decided", "acceptance"),
    Row("orphan nodes", "orphans", "d"),
    Row("rows of knowledge written a rollout", "write_amplification"),
    Row("tags that change with other names for things and families (control)", "renamed_tags_changed", "d"),
)


def semantics(values: Values) -> str:
    """A column for each source."""
    columns = {name: each for name, each in values["sources"].items() if each["available"]}
    return across(columns, MEANING, lambda source, name: values["targets"].get(f"{source} {name}"), BACKENDS)


TRUSTED: Final = {
    "null_any_trust_100": "200 tags of noise, 100 episodes: any of them gets any trust",
    "null_any_trust_500": "… 500 episodes",
    "null_any_trust_3000": "… 3,000 episodes",
    "inverted_any_trust": "a tag that points the wrong way gets any trust",
    "rare_trusted_1000": "a true tag (δ 0.71) on 3 % of 1,000 episodes is trusted",
    "rare_trusted_5000": "… of 5,000 episodes",
    "common_trusted_1000": "a true tag (δ 0.54) on 20 % of 1,000 episodes, among 20 tags, is trusted",
    "common_trusted_1000_alone": "… alone",
    "reversed_found": "true within every kind of episode, reversed over all: found in 5,000",
    "recovery_useless_any_trust": "a recovery that is useless gets any trust",
    "recovery_useful_above_half": "a useful one gets more than 0.5",
    "leak_declared_caught": "a tag that reads the outcome, and says so, is caught",
    "leak_undeclared_suspected": "… and does not say so",
    "inferred_capped": "an outcome inferred from the same segments lends at most 0.5",
    "recalibrated_any_trust_ever": "40 calibrations while noise grows: any trust, ever",
    "drift_found": "a strong effect (δ 0.6) that vanishes midway is noticed",
    "drift_found_weak": "… a weaker one (0.38)",
    "drift_false_alarms": "alarms of drift where nothing changes",
    "drift_other_tags_alarmed": "alarms for the other tags",
    "merges_that_differ": "shards merged in any order, as a tree, through JSON: results that differ in a bit",
    "noise_above_half_cauchy": "tags of noise above 0.5: heavy-tailed costs",
    "noise_above_half_lognormal": "… skewed costs",
    "noise_above_half_zero_inflated": "… costs that are mostly 0",
    "noise_above_half_sessions": "… costs that go by session",
    "noise_above_half_confounded": "… tags and costs that go by kind of episode",
    "premium_2_episodes_to_0.5_in_50_percent": "a tag that doubles damage: episodes until half of the runs give 0.5",
    "premium_2_episodes_to_0.5_in_90_percent": "… until 90 % do",
    "premium_2_episodes_to_0.8_in_50_percent": "… until half of them give 0.8",
    "premium_2_episodes_to_0.8_in_90_percent": "… until 90 % do",
    "premium_3_episodes_to_0.8_in_50_percent": "a tag that triples damage: episodes until half of the runs give 0.8",
    "premium_3_episodes_to_0.8_in_90_percent": "… until 90 % do",
    "calibration_cpu_s": "CPU-seconds for 200 tags and 100,000 episodes, with 20 sets of shuffled tags",
    "real_stop_trust": "a real cell (UR3): trust in protective stops",
    "real_lost_and_shuffled_trust": "… in grip losses (too few) and shuffled tags",
}
CARRIED: Final = {
    "prior_right_share_of_episodes_to_0.5": "a right prior: episodes to trust 0.5, over those without it (δ 0.54)",
    "prior_right_weak_share_of_episodes_to_0.5": "… of a weaker tag (δ 0.40)",
    "prior_right_share_of_episodes_to_0.8": "… to trust 0.8 (δ 0.54)",
    "prior_agreement_of_the_right": "… how far it is said to agree with the new set, 0 to 1",
    "prior_ever_lowered": "… it lowers trust",
    "prior_null_any_trust": "200 tags of noise that had trust 0.9 elsewhere: any of them gets any",
    "prior_null_above_half": "… a tag gets more than 0.5",
    "prior_null_of_5_any_trust_60": "5 such tags, 60 episodes: any of them gets any trust",
    "prior_null_of_5_any_trust_100": "… 100 episodes",
    "prior_null_of_5_any_trust_200": "… 200 episodes",
    "prior_null_of_5_lifted_above_half_60": "5 such tags, 60 episodes: one is lifted above 0.5",
    "prior_null_of_5_lifted_above_half_100": "… 100 episodes",
    "prior_null_of_5_lifted_above_half_200": "… 200 episodes",
    "prior_inverted_any_trust": "a tag that had trust 0.9 elsewhere and points the other way here gets any",
    "prior_closed_gate_any_trust": "a prior opens a gate that the set itself does not open",
    "prior_carried_alone_highest": "… highest trust that is told of the prior alone",
    "prior_agreement_in_conflict": "agreement of a prior δ of 0.75 with a set of 0.20, 0 to 1",
    "needed_typical_settles": "as many outcomes as are said to be needed settle a true tag, none known before",
    "needed_seen_settles": "… 40 or 100 known before",
    "needed_null_promised": "a tag of noise is promised to settle",
    "needed_null_settles": "… does",
}
"""Trust that an earlier set lends to a new one, and how many outcomes are said to be needed."""


def trust(values: Values) -> str:
    """What trust says, beside what a pooled test and a sigmoid of the correlation say; what misses its aim first."""
    names = [*TRUSTED, *(name for name in values["lines"] if name not in {**TRUSTED, **CARRIED})]
    rows = []
    for name in (name for name in names if name in values["lines"]):
        line, (met, cells) = values["lines"][name], _trusted(values, name)
        rivals = [told(line[who], digits(line[who])) for who in ("pooled", "sigmoid")]
        rows.append((met, [*cells[:2], *rivals, *cells[2:]]))
    return grid(["", "here", "pooled test", "sigmoid", "aim"], worst_first(rows))


def trust_carried(values: Values) -> str:
    """What a prior does; what misses its aim first."""
    rows = [_trusted(values, name) for name in CARRIED if name in values["lines"]]
    return grid(["", "result", "aim"], worst_first(rows))


def _trusted(values: Values, name: str) -> tuple[bool, list[str]]:
    """Whether a line meets its aim; its words, figure with interval, and aim."""
    line, target = values["lines"][name], values["targets"].get(name)
    # what is not reached at any size is infinite, and null in the JSON
    never = line["value"] is None and "episodes_to" in name
    text = "never" if never else judged(line["value"], digits(line["value"]), target)
    if line["low"] is not None:
        text += f" [{told(line['low'], '.2g')}, {told(line['high'], '.2g')}]"
    words = {**TRUSTED, **CARRIED}.get(name, words_of(name))
    return met_of(target), [words, text, aim(target)]


PHYSICS: Final = {
    "ordinary": "as made: hazards make impacts harder, strange episodes fail no more often",
    "harmless": "hazards leave impacts to chance",
    "strange_fails": "strange episodes fail",
}


def trust_hardening(values: Values) -> str:
    """Trust of each tag in each world, with that of the oracle in brackets."""
    tags, rows = ("RiskTag", "RecoveryTag", "OODTag"), []
    targets = values["targets"]
    for world, found in values["worlds"].items():
        cells = [PHYSICS.get(world, world)]
        for tag in tags:
            own, oracle = (
                judged(found[who][tag]["trust_level"], ".2f", targets.get(f"{world} {tag} {who}"))
                for who in ("tag", "oracle")
            )
            cells.append(f"{own} ({oracle})")
        for who in ("tag", "oracle"):
            premium = found["risk_premium"][who]
            value = judged(premium["value"], ".1f", targets.get(f"{world} risk_premium {who}"))
            cells.append(f"{value} [{', '.join(told(each, '.1f') for each in premium['interval'])}]")
        shuffled = found["shuffled"]
        missed = not targets.get(f"{world} shuffled_share", {"met": True})["met"]
        share = f"{shuffled['with_any_trust']} of {shuffled['shuffles']}"
        rows.append([*cells, f"**{share}**" if missed else share])
    head = [
        *(f"{tag} (oracle)" for tag in tags),
        "risk premium",
        "… of the oracle",
        "shuffles with any trust (control)",
    ]
    return grid(["world", *head], rows)


def by_example(values: Values) -> str:
    """What is answered and how often wrongly, the most wrong first; means over sets."""
    rows = []
    targets = values["targets"]
    every = {**values["worlds"], **values["recorded"]}
    for name, each in sorted(every.items(), key=lambda item: (-item[1]["error"], item[1]["answered"])):
        rows.append(
            [
                f"{name.replace('_', ' ')}: {each['says']}",
                judged(each["error"], ".1%", targets.get(f"{name}: error")),
                told(each["worst"], ".0%"),
                told(each["pooled"], ".0%"),
                judged(each["answered"], ".0%", targets.get(f"{name}: answered")),
                told(each["silent"], ".0%"),
            ]
        )
    error, answered = (targets[f"{what}, ends differ"] for what in ("error", "answered"))
    mean = [judged(error["value"], ".1%", error), "", "", judged(answered["value"], ".0%", answered), ""]
    rows.append(["mean of the kinds whose ends differ plainly", *mean])
    rows.append(["aim of the mean", aim(error, "%"), "", "", aim(answered, "%"), ""])
    head = ["sets", "wrong", "… in the worst 5 % of sets", "wrong of all answers", "answered", "sets without an answer"]
    return grid(head, rows)


def videos(values: Values) -> str:
    """Planted faults of videos, the least found first."""
    targets, rows = values["targets"], []
    for kind, share in sorted(values["found"].items(), key=lambda item: item[1]):
        found = f"{round(share * values['planted'][kind])} of {values['planted'][kind]}"
        rows.append([words_of(kind), found if targets[f"{kind} found"]["met"] else f"**{found}**", "≥ 95 %"])
    false = f"{len(values['false_alarms'])} of {values['clean_videos']}"
    rows.append(["sound videos with a false finding", false if targets["false alarms"]["met"] else f"**{false}**", "0"])
    for name, cost in values["thumbnail_cost"].items():
        told_ = f"{cost:.2f} times"
        met = targets[f"thumbnails of {name}"]["met"]
        rows.append([f"small pictures, over unpacking alone: {name}", told_ if met else f"**{told_}**", "≤ 1.5"])
    rows.append(["pictures unpacked", told(values["unpacked_share"], ".0%"), ""])
    rows.append(["CPU for each picture, ms", told(values["cpu_ms_per_picture"], ".2f"), ""])
    return grid(["planted", "found", "aim"], rows)
