"""What every tag promises, whatever it looks at: declared in its own file, it is met wherever tags are met."""

from __future__ import annotations

import html
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from finished_run import trust_row
from sima2.analytics.econ_settings import COST_FIELDS
from sima2.cli import app
from sima2.io.store import Store
from sima2.knowledge.task_evidence import tag_evidence
from sima2.knowledge.task_graph import TaskGraphRefiner
from sima2.orchestrator import run_pipeline
from sima2.records.episodes import EpisodeTable
from sima2.records.knowledge import PROPOSAL_KINDS
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.tags import TagTable
from sima2.records.vocabulary import TAG_KINDS
from sima2.report.dictionary import dictionary
from sima2.report.inputs import read_trust
from sima2.report.named_statistics import worth
from sima2.report.trust_reasons import why
from sima2.sampling.auditor import DatapackAuditor
from sima2.sampling.plan import Known, TrainingPlanner
from sima2.sampling.plan_settings import RULES
from sima2.sampling.pool import Pool
from sima2.sampling.request import request
from sima2.sampling.tag_reviews import tag_reviews
from sima2.sampling.weight_settings import OBJECTIVES, STRATEGIES
from sima2.sampling.weights import plan_weights
from sima2.tags.seen import FromPrefix
from sima2.tags.specs import ALL_TAGS, TAGS

IDS = ("e0", "e1", "e2", "e3")
GIVEN = ("e1", "e2")
"""Episodes of a small set that are given the tag."""


@pytest.fixture(params=list(TAGS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "out"
    run_pipeline(families=("drawer_open", "pick_and_place"), episodes=60, out=out)
    return out


@pytest.fixture(scope="module")
def tags(folder: Path) -> TagTable:
    with Store.read_only(folder) as store:
        return TagTable.concat(list(store.read(TagTable, "tags")))


def filled(cls, n, **given):
    blank = {name: Text.full(n, "") if dtype is None else np.zeros(n, dtype) for name, dtype in cls.columns().items()}
    return cls(**{**blank, **given})


def few_episodes() -> EpisodeTable:
    n = len(IDS)
    sound = {"frames": np.full(n, 100), "duration_s": np.full(n, 5.0), "segments": np.full(n, 4), "success": np.ones(n)}
    return filled(
        EpisodeTable,
        n,
        episode_id=Text.of(IDS),
        episode_index=np.arange(n),
        family=Text.full(n, "drawer_open"),
        inferred_success=np.full(n, np.nan),
        outcome_source=Text.full(n, "recorded"),
        **sound,
    )


def few_tags(name: str, source: str = "", **columns: np.ndarray) -> TagTable:
    """Rows of the tag on all episodes, given to some of them as surely and as badly as can be."""
    level = np.isin(IDS, GIVEN).astype(float)
    n = len(IDS)
    return filled(
        TagTable,
        n,
        episode_id=Text.of(IDS),
        tag=Text.full(n, name),
        kind=Text.full(n, TAGS[name].kind),
        source=Text.full(n, source),
        **{"level": level, "severity": level, **columns},
    )


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.stdout
    return result.stdout


def test_it_declares_what_it_is(name: str) -> None:
    spec = TAGS[name]
    assert spec.name == name
    assert name.endswith("Tag")
    assert spec.kind in TAG_KINDS
    assert spec.cost_field in COST_FIELDS
    assert spec.direction in (-1, 1)
    assert 0 <= spec.threshold < 1
    assert all((spec.inputs, spec.available, spec.meaning, spec.level))
    assert {*spec.pulls} <= {*OBJECTIVES, *STRATEGIES}
    assert {*OBJECTIVES} <= {*spec.pulls}, "say of each objective whether its episodes gain, lose or neither"
    assert {*spec.pulls.values()} <= {-1, 0, 1}


def test_what_it_asks_of_other_rooms_is_there(name: str) -> None:
    spec = TAGS[name]
    if spec.review:
        assert spec.review.rule in RULES
        assert spec.severity, "a review by severity needs one"
    for each in spec.proposals:
        assert each.kind in PROPOSAL_KINDS
        assert (each.rests_on or name) in TAGS
    for each in spec.statistics:
        assert worth({"name": each.name})[0] == (each.shown or each.name.replace("_", " "))


def test_no_two_tags_share_a_code_a_fact_or_a_statistic() -> None:
    for names in (
        [spec.code for spec in TAGS.values()],
        [each.fact for spec in TAGS.values() for each in spec.proposals],
        [each.name for spec in TAGS.values() for each in spec.statistics],
    ):
        assert len(names) == len(set(names))


def test_a_tag_that_sees_only_the_prefix_predicts() -> None:
    assert {tag.spec.kind for tag in ALL_TAGS if isinstance(tag, FromPrefix)} == {"predictive"}


def test_every_episode_of_a_run_has_a_row_of_it(name: str, folder: Path, tags: TagTable) -> None:
    mine = tags.take(tags.tag.isin(name))
    with Store.read_only(folder) as store:
        ids = store.read_table(EpisodeTable, "episodes").episode_id.tolist()
    assert {*mine.episode_id} == {*ids}
    assert {*mine.kind} <= {*TAG_KINDS}
    assert (np.isnan(mine.level) | ((mine.level >= 0) & (mine.level <= 1))).all()
    assert np.isnan(mine.severity).all() or TAGS[name].severity
    assert np.isnan(mine.value).all() or TAGS[name].value
    assert (mine.start_frame <= mine.end_frame).all()


def test_a_run_tells_its_trust_and_why(name: str, folder: Path) -> None:
    row = json.loads((folder / "trust_matrix.json").read_text())[name]
    assert 0 <= row["trust_level"] <= 1
    told = call("trust", folder)
    assert name in told
    assert why(read_trust(folder)[name]).seen.split()[0] in told


def test_the_commands_and_the_page_know_it(name: str, folder: Path) -> None:
    assert isinstance(json.loads(call("episodes", folder, "--tag", name, "--json")), dict)
    page = html.unescape((folder / "report.html").read_text(encoding="utf-8"))
    assert name in page
    assert TAGS[name].meaning in page
    assert f"| `{name}` | {TAGS[name].meaning} |" in dictionary()


def test_while_it_is_provisional_the_plan_asks_a_person_about_its_episodes(name: str) -> None:
    asked = tag_reviews(few_episodes(), few_tags(name), {name: trust_row(name, 0.6, 0.3, 0.1)}, TAGS)
    plan = TrainingPlanner().plan(Known(few_episodes(), asked=asked)).episodes
    reviewed = plan.take(plan.action.isin("review"))
    assert reviewed.episode_id.tolist() == [*GIVEN]
    assert {*reviewed.words} == {f"has provisional tags: {name}"}


def test_once_it_is_trusted_the_plan_asks_only_about_what_it_calls_severe(name: str) -> None:
    review = TAGS[name].review
    asked = tag_reviews(few_episodes(), few_tags(name), {name: trust_row(name, 0.9, 0.6, 0.1)}, TAGS)
    plan = TrainingPlanner().plan(Known(few_episodes(), asked=asked)).episodes
    assert plan.codes.tolist() == [review.rule if review and each in GIVEN else "" for each in IDS]


def test_without_trust_it_lowers_quality_and_with_trust_it_adds_what_it_declares(name: str) -> None:
    def quality(level: float) -> np.ndarray:
        trust = {name: trust_row(name, level, 0.6, 0.1)}
        return DatapackAuditor().audit(few_episodes(), few_tags(name), trust, TAGS).quality

    given = np.isin(IDS, GIVEN)
    assert (quality(0.0)[given] < quality(0.0)[~given].min()).all()
    assert quality(0.9)[given] - quality(0.9)[~given].max() == pytest.approx(0.9 * TAGS[name].quality_bonus)


def test_a_pump_is_asked_for_its_episodes_where_it_has_a_template_and_trust(name: str) -> None:
    episodes = few_episodes()
    pool = Pool.of(episodes, few_tags(name), {name: trust_row(name, 0.9, 0.6, 0.1)}, TAGS)
    templates = {*request(plan_weights(pool, for_objective="rl"), pool, 100).template}
    gains = TAGS[name].pulls["rl"] > 0
    assert templates == ({"", TAGS[name].template} if gains else {""})


@pytest.mark.parametrize(("name", "fact"), [(name, each) for name, spec in TAGS.items() for each in spec.proposals])
def test_what_it_proposes_waits_for_the_trust_it_rests_on(name: str, fact) -> None:
    rests_on = fact.rests_on or name
    rows = TagTable.concat([few_tags(each, fact.source) for each in dict.fromkeys((name, rests_on))])
    evidence = tag_evidence(rows, SegmentTable.empty(), dict.fromkeys(IDS, "drawer_open"), TAGS)
    refiner = TaskGraphRefiner(specs=TAGS)
    for trust, status in ({}, "pending_trust"), ({rests_on: 0.9}, "accepted"):
        found = refiner.refine(evidence, trust)
        (row,) = found.take(found.kind.isin(fact.kind)).rows()
        assert (row["source_tag"], row["support"], row["status"]) == (rests_on, len(GIVEN), status)
    quiet = replace(rows, level=np.zeros(len(rows)))
    evidence = tag_evidence(quiet, SegmentTable.empty(), dict.fromkeys(IDS, "drawer_open"), TAGS)
    assert len(refiner.refine(evidence)) == 0
