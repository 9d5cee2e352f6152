"""Tables of what is told of recordings, and of what a plan made of them is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from measured.cells import NOTHING, Row, Target, Values, across, aim, bare, grid, judged, span, told, words_of

WORLDS: Final = {
    "fetch": "Fetch",
    "sawyer": "Meta-World's Sawyer",
    "dm_control": "Jaco (dm_control)",
    "sapien": "SAPIEN",
    "robosuite": "robosuite",
    "pybullet": "PyBullet",
}
ABROAD: Final = (
    Row("robots", "robots", "d"),
    Row("episodes", "episodes", "d"),
    Row("F1@50 of segments", "f1_50", ".0f"),
    Row("… with one label for all frames (control)", "one_label", ".0f"),
    Row("frames labelled correctly", "frame_accuracy", ".0%"),
    Row("F1@50 over frames with a label", "f1_50_answered", ".0f"),
    Row("share of frames with a label", "coverage", ".0%"),
    Row("failed attempts", "failures", "d"),
    Row("… precision", "failure_precision"),
    Row("… recall", "failure_recall"),
    Row("clean episodes", "clean", "d"),
    Row("… with a false failure", "clean_with_failure", ".0%"),
    Row("inferred outcome of the episode: balanced accuracy", "success_balanced"),
    Row("… unknown", "success_unknown", ".0%"),
    Row("episodes that recovered", "recoveries", "d"),
    Row("… precision", "recovery_precision"),
    Row("… recall", "recovery_recall"),
    Row("calibration error of confidence", "calibration_error"),
    Row("… upper end of its 95 % interval", "calibration_error_at_most"),
)
FEWER: Final = ("without_force", "without_object_poses", "joints_and_gripper")
FEWER_ROWS: Final = (
    Row("F1@50 of segments", "f1_50", ".0f"),
    Row("precision of failures", "failure_precision"),
    Row("recall of failures", "failure_recall"),
    Row("clean episodes with a false failure", "clean_with_failure", ".0%"),
    Row("outcome unknown", "success_unknown", ".0%"),
)


def _by_f1(worlds: Mapping[str, Values]) -> list[str]:
    return sorted(worlds, key=lambda name: worlds[name]["full"]["f1_50"])


def foreign(values: Values) -> str:
    """All channels: a column for each world."""
    sources = list(values["sources"].values())
    columns = {}
    for world in _by_f1(values["worlds"]):
        own = [each["episodes"] for each in sources if each["world"] == world]
        robots = {name.rsplit(", ", 1)[-1] for name, each in values["sources"].items() if each["world"] == world}
        columns[world] = {**values["worlds"][world]["full"], "episodes": sum(own), "robots": len(robots)}
    return across(columns, ABROAD, lambda world, name: _abroad(values, world, "full", name), WORLDS)


def foreign_fewer(values: Values) -> str:
    """Fewer channels: a group of rows for each set of them."""
    order = _by_f1(values["worlds"])
    out: list[str] = []
    for channels in FEWER:
        rows = [Row(f"{channels.replace('_', ' ')}: {row.words}", *row[1:]) for row in FEWER_ROWS]
        columns = {world: values["worlds"][world][channels] for world in order}
        lines = across(columns, rows, lambda world, name: _abroad(values, world, channels, name), WORLDS)  # noqa: B023
        out += lines.split("\n")[2 if out else 0 :]
    return "\n".join(out)


def _abroad(values: Values, world: str, channels: str, name: str) -> Target | None:
    key = f"{world}, {words_of(channels)}: {words_of(name)}"
    target: Target | None = values["targets"].get(key)
    return target


def foreign_changed(values: Values) -> str:
    """A row for each change, the worst first: F1@50, precision of failures, clean episodes with a false one."""
    changes = values["changes"]
    order = sorted(
        next(iter(changes.values())), key=lambda world: min(each[world]["f1_50"] for each in changes.values())
    )
    rows = []
    for change in sorted(changes, key=lambda name: min(each["f1_50"] for each in changes[name].values())):
        cells = []
        for world in order:
            row = changes[change][world]
            target = {
                name: values["targets"].get(f"{change}, {world}: {name.replace('_', ' ')}")
                for name in ("failure_precision", "clean_with_failure")
            }
            clean = round(row["clean"] * (row["clean_with_failure"] or 0))
            false = f"{clean} of {row['clean']}"
            missed = target["clean_with_failure"] and not target["clean_with_failure"]["met"]
            precision = judged(row["failure_precision"], ".2f", target["failure_precision"])
            cells.append(f"{row['f1_50']:.0f}; {precision}; {f'**{false}**' if missed else false}")
        rows.append([change, *cells])
    return grid(["recorded …", *(WORLDS.get(world, world) for world in order)], rows)


# Recordings of joints, gripper and commands

RIGS: Final = {
    "so101_cube": "SO-101, cube",
    "so100_pens": "SO-100, thin pens",
    "koch_bricks": "Koch, bricks",
    "aloha_transfer": "ALOHA, hand-over",
    "aloha_sorting": "ALOHA, sorting thin things, 80 s",
    "franka_drawer": "Franka with Robotiq, drawer",
    "panda_states": "Panda, 10 Hz, no commands",
    "ur5_plugs": "UR5 with Robotiq, the command is a bit",
    "xarm_push": "xArm, pushing with a shut hand",
    "xarm_sponge": "xArm, sponge",
    "widowx_bits": "WidowX, the gripper is a bit",
    "g1_bottle": "G1 with Inspire hands, lifting",
    "gr1_cups": "GR-1, soft cups",
    "so101_states": "SO-101, thin cloth, no commands",
}
RECORDED: Final = (
    ("grasp_precision", "grasp_recall", "grasp_unknown"),
    ("failed_precision", "failed_recall", "success_unknown"),
    ("retry_precision", "retry_recall"),
)


def recordings(values: Values) -> str:
    """A row for each rig, the worst first; then all, the control and the aims."""
    targets = {name: bare(each) for name, each in values["targets"].items()}

    def cells(row: Values) -> list[str]:
        out = [f"{row['attempts']} / {row['idle_closings']}"]
        for k, names in enumerate(RECORDED):
            figures = [judged(row[name], ".2f", targets.get(name)) for name in names]
            if k == 1:
                figures.insert(0, f"{row['failed']} of {row['episodes']}")
            out.append(" / ".join(figures))
        return out

    def worst(name: str) -> float:
        row = values["recipes"][name]
        return min(
            (row[key] for key, each in targets.items() if each["sense"] == "at least" and row[key] is not None),
            default=0.0,
        )

    rows = [[RIGS.get(name, name), *cells(values["recipes"][name])] for name in sorted(values["recipes"], key=worst)]
    rows.append(["all", *cells(values["all"])])
    control = [" / ".join(told(values["control"][name], ".2f") for name in names) for names in RECORDED]
    rows.append(["all, scored against the truth of another episode (control)", "", *control])
    rows.append(["aim", "", *(" / ".join(aim(targets.get(name)) or NOTHING for name in names) for names in RECORDED)])
    head = [
        "rig",
        "attempted grasps / other closings",
        "outcome of a grasp: precision / recall / unknown",
        "failed episodes: number / precision / recall / unknown",
        "retries: precision / recall",
    ]
    return grid(head, rows)


def recordings_defects(values: Values) -> str:
    """Planted defects, the worst first."""
    rows = []
    for kind in values["worst"]:
        each, target = values["kinds"][kind], values["targets"][f"{kind}: recall"]
        lost = "; ".join(RIGS.get(name, name) for name, (hit, all_) in each["recipes"].items() if hit < all_)
        found = f"{each['found']} of {each['planted']}"
        rows.append([words_of(kind), found if target["met"] else f"**{found}**", aim(target, ".0%"), lost])
    target = values["targets"]["clean episodes accused"]
    upper = judged(values["upper"], ".1%", target)
    said = ", ".join(f"{words_of(kind)} {n}" for kind, n in sorted(values["false"].items(), key=lambda each: -each[1]))
    accused = f"{values['clean_false']} of {values['clean_episodes']}, at most {upper}"
    rows.append(
        ["clean episodes with a false finding (95 % bound)", accused, aim(target, ".0%"), f"of: {said}" if said else ""]
    )
    return grid(["planted", "found", "aim", "missed on"], rows)


def recordings_plan(values: Values) -> str:
    """What the plan does: planted kinds, the worst first, then how episodes went."""
    actions = ("keep", "trim", "review", "drop", "not_read")
    rows = []
    for kind, share in values["caught"].items():
        target, counts = values["targets"][f"{kind}: not kept"], values["kinds"][kind]
        rows.append(
            [
                words_of(kind),
                *(str(counts.get(each, 0)) for each in actions),
                judged(share, ".0%", target),
                aim(target, "%"),
            ]
        )
    for name, words in (("failed", "failed, nothing planted"), ("retried", "tried again and succeeded")):
        rows.append([words, *(str(values[name].get(each, 0)) for each in actions), "", ""])
    target = values["targets"]["clean episodes not kept"]
    counts = values["clean"]
    rows.append(
        [
            "clean",
            *(str(counts.get(each, 0)) for each in actions),
            judged(values["spared"], ".1%", target),
            aim(target, "%"),
        ]
    )
    return grid(["episode", *map(words_of, actions), "not kept as it is", "aim"], rows)


def card(values: Values) -> str:
    """Recall by the card beside the true one, the farthest off first."""
    rows = []
    for kind, each in values["kinds"].items():
        target = values["targets"].get(f"{kind}: recall by card less by truth")
        far = judged(each["off"], ".2f", target)
        rows.append(
            [words_of(kind), told(each["card"], ".2f"), told(each["own"], ".2f"), str(each["n"]), far, aim(target)]
        )
    wrong = values["targets"]["verdicts that act and are wrong too often"]
    acting = f"{values['bounds']['act']} act"
    rows.append(
        ["verdicts that act and are wrong too often", "", "", acting, judged(wrong["value"], ".0f", wrong), "0"]
    )
    return grid(["fault", "recall by the card", "true recall", "faults that happened", "apart by", "aim"], rows)


# From a data set to a policy


SELECTIONS: Final = {
    "trap": "trap",
    "every_episode": "every episode alike",
    "all_frames": "every frame alike",
    "random_same_size": "random, as much",
    "random_same_lengths": "random, as long",
    "recorded_successes": "recorded successes",
    "conservative": "`conservative`",
    "measured_no_goal": "`measured`, no goal told",
    "measured": "`measured`",
    "oracle_segments": "oracle by segments",
    "oracle_episodes": "oracle by episodes",
}


def receipts(values: Values) -> str:
    """Success of the policy under each selection, a row for each setting, the worst ratio first."""
    rows = []
    settings = sorted(values["settings"], key=lambda each: each["ratio"]["measured"]["value"])
    names = [name for name in settings[0]["success"] if all(name in each["success"] for each in settings)]
    names.sort(key=lambda name: min(each["success"][name]["value"] for each in settings))
    for each in settings:
        cells = [told(each["success"][name]["value"], ".2f") for name in names]
        about = f"{each['n']}, {each['contamination']:.0%}".replace("%", " %")
        ratio = _judged_span(each["ratio"]["measured"], values["targets"], each)
        over = each["over_baseline"]["measured"]
        rows.append([about + ("" if each["informative"] else " (uninformative)"), *cells, ratio, span(over, "+")])
    head = [
        "demonstrations, not good",
        *(SELECTIONS.get(name, words_of(name)) for name in names),
        "measured / oracle",
        "over every episode alike",
    ]
    return grid(head, rows)


def _judged_span(ratio: Values, targets: Values, setting: Values) -> str:
    """The ratio and the lower end of its interval, each by its own aim."""
    named = f"n = {setting['n']}, {setting['contamination']:.0%} not good: measured / oracle"
    value = judged(ratio["value"], ".2f", targets.get(named))
    low = judged(ratio["low"], ".2f", targets.get(f"{named}, lower end"))
    return f"{value} [{low}, {told(ratio['high'], '.2f')}]"
