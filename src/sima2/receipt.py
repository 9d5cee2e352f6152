"""A receipt: what a plan's weights are worth to a small policy that is trained on the set itself.

The set is split into folds; the policy is trained on the others under each selection, with the same updates, and asked
what it would have done in episodes of this one. That is no success: a policy whose next commands are near those of a
person may still fail in closed loop, and ``sima2 bench receipts`` shows selections for which it does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sima2.errors import UsageError
from sima2.imitation.policy import FLAT, FitSettings, Policy, fit
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.rollout import RolloutBatch, fold_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sima2.client import Source
    from sima2.records.episodes import EpisodeTable


FOLDS: Final = 5
LEAST: Final = 20
"""Episodes; of fewer, folds hold too few to say anything."""
AHEAD_S: Final = (0.0, 0.1, 0.2, 0.3, 0.4)
"""The policy is asked for the command now and those so much later: half a second, as it would be used."""
TASKS: Final = 16
"""So many tasks at most are told apart by the policy."""
COVERED: Final = 0.95
"""A column that is missing in more frames is not looked at."""
BATCH: Final = 100
"""Episodes read at once."""
CONFIDENCE: Final = 0.95
BASELINE: Final = "every_episode"
MEASURED: Final = "measured"
CONSERVATIVE: Final = "conservative"
NAMES: Final[Mapping[str, str]] = {
    BASELINE: "every episode alike: the baseline",
    "all_frames": "all frames alike",
    MEASURED: "the plan, preset measured",
    CONSERVATIVE: "the plan, preset conservative",
    "random_same_size": "random episodes, as many frames as the plan's weights are worth",
    "recorded_successes": "episodes with a recorded success",
}
"""Selections that are compared, and what each is."""
CAVEAT: Final = (
    "The error of held-out actions is not success: it tells whether a policy would do in the next half second what a "
    "person did in episodes that the plan keeps, not whether it would reach the goal by itself. The plan also chose "
    "the episodes that it is judged by. Only trials on the robot, or in a simulator, show a gain."
)


class Weighed(NamedTuple):
    """Every frame of a source with its weight, in order of episode and frame."""

    episode_index: Int64s
    """The source's own number of the episode, shape (t,)."""
    frame_index: Int64s
    """From 0 within the episode, shape (t,)."""
    weight: Float64s
    """That of the episode included, shape (t,)."""


class Interval(NamedTuple):
    """A mean with its interval; NaN where one value alone is there."""

    value: float
    low: float
    high: float


def planned_weights(out: Path, preset: str) -> Weighed:
    """What the plan of a finished run gives each frame for imitation.

    Args:
        out: folder of the run.
        preset: ``measured``, ``conservative`` and so on.
    """
    from sima2.planning import frames_of, plan_of

    frames = frames_of(out, plan_of(out, preset=preset))
    return Weighed(frames.episode_index, frames.frame_index, frames.weight.astype(np.float64))


def kept_whole(out: Path) -> Int64s:
    """The source's own numbers of the episodes whose action is ``keep`` in preset ``measured``, shape (k,)."""
    from sima2.planning import plan_of

    plan = plan_of(out).episodes
    return plan.episode_index[plan.action.isin("keep")]


def mean(values: Float64s) -> Interval:
    """Mean of independent values, with the interval of Student's t.

    >>> [round(float(x), 3) for x in mean(np.array([0.1, 0.2, 0.3]))]
    [0.2, -0.048, 0.448]
    """
    value = float(np.mean(values))
    return around(value, values - value)


def around(value: float, off: Float64s) -> Interval:
    """An interval about an estimate of which each of n independent parts is off by ``off``, shape (n,)."""
    from scipy.stats import t

    n = len(off)
    if n < 2:
        return Interval(value, math.nan, math.nan)
    half = float(t.ppf(0.5 + CONFIDENCE / 2, n - 1) * np.sqrt((off**2).sum() / (n - 1) / n))
    return Interval(value, value - half, value + half)


def effective(weights: Float64s) -> float:
    """How many frames of equal weight the weights are worth (Kish).

    >>> effective(np.array([1.0, 1.0, 0.0]))
    2.0
    """
    return float(weights.sum() ** 2 / (weights**2).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Demonstrations:
    """A set as a trainer sees it."""

    episode_id: tuple[str, ...]
    """Of each episode, n of them."""
    episode_index: Int64s
    """The source's own number, increasing, shape (n,)."""
    offset: Int64s
    """First frame of each episode, and one past the last, shape (n + 1,)."""
    seen: Float64s
    """Joints, hand, fingers and things, and where things are from the hand, shape (t, d); NaN where not known."""
    done: Float64s
    """Recorded actions now and later, shape (t, a); NaN where not known."""

    @property
    def frame_episode(self) -> Int64s:
        """Episode of each frame, shape (t,)."""
        return np.repeat(np.arange(len(self.episode_id)), np.diff(self.offset))

    @property
    def known(self) -> Bools:
        """Frames of which everything is known, shape (t,)."""
        return np.asarray(np.isfinite(self.seen).all(axis=1) & np.isfinite(self.done).all(axis=1))

    def in_order(self, weighed: Weighed) -> Float64s:
        """Weights of these frames, 0 for those that have none, shape (t,)."""
        frame = np.arange(self.offset[-1]) - self.offset[:-1][self.frame_episode]
        most = int(max(frame.max(initial=0), weighed.frame_index.max(initial=0))) + 1
        wanted = self.episode_index[self.frame_episode] * most + frame
        there = weighed.episode_index * most + weighed.frame_index
        order = np.argsort(there, kind="stable")
        place = np.minimum(np.searchsorted(there[order], wanted), max(len(there) - 1, 0))
        if not len(there):
            return np.zeros(len(wanted))
        return np.asarray(np.where(there[order][place] == wanted, weighed.weight[order][place], 0.0), np.float64)


def receipt(
    out: Path,
    *,
    path: Path | None = None,
    seed: int = 0,
    policy: Path | None = None,
    settings: FitSettings = FitSettings(),  # noqa: B008 - frozen
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Held-out action error under every selection, for a finished run over a recorded set.

    Args:
        out: folder of the run.
        path: the data set, if it was moved.
        seed: of the fits.
        policy: file (``.npz``) for the policy that is trained on all episodes by the plan, if wanted: arrays of
            ``imitation.policy.Policy``, whose inputs and outputs are those of :func:`read`.
        settings: how a policy is trained.
        progress: told the step under way.

    Raises:
        StoreError: if the folder is not one of a finished run.
        UsageError: if it is not of one recorded set that is still there as it was, with actions and 20 episodes.
    """
    from sima2.execution.executor import one_thread

    with one_thread():  # small matrices: threads would only wait for each other
        return _receipt(out, path, seed, policy, settings, progress)


def _receipt(
    out: Path,
    path: Path | None,
    seed: int,
    policy: Path | None,
    settings: FitSettings,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    from sima2.records.episodes import EpisodeTable
    from sima2.report.inputs import read_single

    if policy is not None and policy.exists():
        raise UsageError(f"{policy} is there: name another file, for nothing is written over")
    episodes = read_single(out, EpisodeTable, "episodes")
    progress("reading")
    made = read(source_of(out, episodes, path))
    plans = {preset: made.in_order(planned_weights(out, preset)) for preset in (MEASURED, CONSERVATIVE)}
    recorded = (episodes.success == 1) & episodes.outcome_source.isin("recorded", "person")
    told = compared(
        made,
        plans,
        np.isin(made.episode_index, kept_whole(out)),
        np.isin(np.array(made.episode_id), np.array(list(episodes.episode_id))[recorded]),
        seed=seed,
        settings=settings,
        progress=progress,
    )
    if policy is None:
        return told
    progress("training the policy")
    weights = np.where(made.known, plans[MEASURED], 0.0)
    _keep(policy, fit(made.seen, made.done, weights, seed=seed, settings=settings))
    return {**told, "policy": str(policy)}


def _keep(file: Path, policy: Policy) -> None:
    """Write a policy as plain arrays, whole or not at all."""
    from io import BytesIO

    from sima2.io.durable import replace_file, write_bytes

    held = BytesIO()
    np.savez(held, **policy.arrays())  # type: ignore[arg-type]
    replace_file(file, lambda target: write_bytes(target, held.getvalue()))


def source_of(out: Path, episodes: EpisodeTable, path: Path | None) -> Source:
    """The recorded set of a run, unless it was moved or changed since.

    Raises:
        UsageError: saying which, and the way on.
    """
    from sima2.client import Sima2Client, backend_of
    from sima2.io.formats import is_dataset
    from sima2.io.same_source import refuse_other
    from sima2.io.store import Store

    with Store.read_only(out) as store:
        runs = store.runs
    if len(runs) != 1:
        raise UsageError(f"{out} holds {len(runs)} runs: a receipt is of one set; run each into a folder of its own")
    if backend_of(str(runs[0].settings.get("source"))) != "dataset":
        raise UsageError(f"{out}: a receipt is of a recorded set, and this run made its rollouts; see bench receipts")
    place = path or Path(str(runs[0].settings["path"]))
    if not is_dataset(place):
        raise UsageError(f"{place}: the data set of the run is not there; say where it is with --path")
    refuse_other(place, set(episodes.source))
    named = out / "column_map.toml"
    return Sima2Client("dataset", path=place, column_map=named if named.is_file() else None).source()


def read(source: Source) -> Demonstrations:
    """What policies are trained on, of a source.

    Raises:
        UsageError: if it holds no actions, or too few episodes.
    """
    batch = RolloutBatch.concat(
        [source.read(k, min(k + BATCH, source.episodes)).batch for k in range(0, source.episodes, BATCH)]
    )
    if len(batch) < LEAST:
        raise UsageError(f"{len(batch)} episodes are too few for a receipt: at least {LEAST}, to be split into folds")
    done = _actions(batch)
    seen = _observations(batch)
    return Demonstrations(batch.episodes.episode_id, batch.episodes.episode_index, batch.offset, seen, done)


def _actions(batch: RolloutBatch) -> Float64s:
    """Commands now and later, shape (t, a)."""
    commands = [each.joint_command for each in batch.manipulators.values() if each.joint_command is not None]
    action = batch.action if batch.action is not None else np.concatenate(commands, axis=1) if commands else None
    if action is None:
        raise UsageError(
            "the set holds no actions, or the column map names none: a policy can imitate nothing; name them as "
            "[action] in the map and run again"
        )
    covered = action[:, _covered(action)].astype(np.float64)
    last = np.repeat(batch.offset[1:] - 1, batch.length)
    later = [max(0, round(ahead / _period(batch))) for ahead in AHEAD_S]
    rows = np.minimum(np.arange(batch.frames)[:, None] + np.array(sorted(set(later))), last[:, None])
    return np.asarray(covered[rows].reshape(batch.frames, -1))


def _period(batch: RolloutBatch) -> float:
    """Usual time between frames, s."""
    step = np.diff(batch.time)[np.diff(batch.frame_episode) == 0]
    return float(np.median(step)) if len(step) else 1.0


def _covered(values: NDArray[np.floating]) -> Bools:
    return np.asarray(np.isfinite(values).mean(axis=0) >= COVERED)


def _observations(batch: RolloutBatch) -> Float64s:
    """What a policy sees, shape (t, d)."""
    parts: list[NDArray[Any]] = []
    things = _things(batch)
    for arm in batch.manipulators.values():
        own = (arm.joint_position, arm.ee_position, arm.gripper_width, arm.gripper_opening)
        parts += [each if each.ndim == 2 else each[:, None] for each in own if each is not None]
        if arm.ee_position is not None:
            parts += [thing - arm.ee_position for thing in things]
    parts += things
    tasks = dict.fromkeys(batch.episodes.instruction)
    if 1 < len(tasks) <= TASKS:
        parts += [
            np.array([each == task for each in batch.episodes.instruction], np.float64)[batch.frame_episode, None]
            for task in tasks
        ]
    if not parts:
        raise UsageError("the set holds neither joints, nor hands, nor things: a policy would see nothing")
    seen = np.concatenate(parts, axis=1).astype(np.float64)
    return np.asarray(seen[:, _covered(seen)])


def _things(batch: RolloutBatch) -> list[NDArray[Any]]:
    """Places of the things that every episode names, each of shape (t, 3)."""
    if batch.object_position is None:
        return []
    common = [name for name in batch.objects[0] if all(name in names for names in batch.objects)]
    out = []
    for name in common:
        slot = np.array([names.index(name) for names in batch.objects])[batch.frame_episode]
        out.append(batch.object_position[np.arange(batch.frames), slot])
    return out


def compared(
    made: Demonstrations,
    plans: Mapping[str, Float64s],
    kept: Bools,
    succeeded: Bools,
    *,
    seed: int = 0,
    settings: FitSettings = FitSettings(),  # noqa: B008 - frozen
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Held-out action error of each selection.

    Args:
        made: the set.
        plans: weights of each frame by name, shape (t,); ``measured`` among them.
        kept: episodes that are judged by, shape (n,).
        succeeded: episodes with a recorded success, shape (n,).
        seed: of fits and draws.
        settings: how a policy is trained.
        progress: told the step under way.

    Returns:
        ``error`` by selection (root mean square over the actions, each in its own spread; mean over folds), and
        ``over_baseline``, paired by fold: less than 0 is better; each with ``value``, ``low`` and ``high``.

    Raises:
        UsageError: if fewer than two folds hold an episode to be judged by.
    """
    fold = np.array([fold_of(name, FOLDS) for name in made.episode_id])
    judging = [k for k in range(FOLDS) if (kept & (fold == k)).any()]
    if len(judging) < 2:
        raise UsageError(
            f"the plan keeps {int(kept.sum())} episodes whole, in {len(judging)} of {FOLDS} folds: too few to judge "
            "by; look at what it asks to review"
        )
    spread = np.where((found := made.done[made.known].std(axis=0)) > FLAT, found, np.inf)
    errors: dict[str, list[float]] = {}
    for k in judging:
        progress(f"fold {k + 1} of {FOLDS}")
        for name, weights in _selections(made, plans, succeeded, fold != k, np.random.default_rng([seed, k])).items():
            judged = (kept & (fold == k))[made.frame_episode] & made.known
            errors.setdefault(name, []).append(_error(made, weights, judged, spread, seed, settings))
    whole = {name: np.array(each) for name, each in errors.items() if len(each) == len(judging)}
    return {
        "episodes": len(made.episode_id),
        "judged_episodes": int(kept.sum()),
        "folds": len(judging),
        "error": {name: mean(whole[name])._asdict() for name in NAMES if name in whole},
        "over_baseline": {
            name: mean(whole[name] - whole[BASELINE])._asdict() for name in NAMES if name in whole and name != BASELINE
        },
        "verdict": verdict(mean(whole[MEASURED] - whole[BASELINE])) if MEASURED in whole else NOTHING,
        "caveat": CAVEAT,
    }


NOTHING: Final = "The plan leaves nothing of some fold to train on: nothing can be said."


def verdict(over: Interval) -> str:
    """What the difference to every episode alike says, in a sentence.

    >>> verdict(Interval(-0.02, -0.03, -0.01))
    'The plan gains: its policy errs less than with every episode alike.'
    """
    if over.high < 0:
        return "The plan gains: its policy errs less than with every episode alike."
    if over.low > 0:
        return "The plan loses: its policy errs more than with every episode alike."
    return "No difference is shown between the plan and every episode alike."


def _selections(
    made: Demonstrations,
    plans: Mapping[str, Float64s],
    succeeded: Bools,
    training: Bools,
    rng: np.random.Generator,
) -> dict[str, Float64s]:
    """Weights of each frame of the training folds, 0 elsewhere, shape (t,) by name."""
    episode, usable = made.frame_episode, made.known & training[made.frame_episode]
    length = np.diff(made.offset)
    weights = {
        BASELINE: usable / length[episode],
        "all_frames": usable.astype(np.float64),
        **{name: np.where(usable, each, 0.0) for name, each in plans.items()},
        "recorded_successes": (usable & succeeded[episode]).astype(np.float64),
    }
    if weights[MEASURED].any():
        order = rng.permutation(np.flatnonzero(training))
        chosen = order[: int(np.searchsorted(np.cumsum(length[order]), effective(weights[MEASURED]))) + 1]
        weights["random_same_size"] = (usable & np.isin(episode, chosen)).astype(np.float64)
    return {name: each for name, each in weights.items() if each.any()}


def _error(
    made: Demonstrations,
    weights: Float64s,
    judged: Bools,
    spread: Float64s,
    seed: int,
    settings: FitSettings,
) -> float:
    """Root mean square over the actions of the frames that are judged, each episode alike."""
    policy = fit(made.seen, made.done, weights, seed=seed, settings=settings)
    off = (((policy.act(made.seen[judged]) - made.done[judged]) / spread) ** 2).mean(axis=1)
    episode = made.frame_episode[judged]
    return float(np.mean([math.sqrt(off[episode == k].mean()) for k in np.unique(episode)]))
