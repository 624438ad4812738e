"""The code of the benchmark: arithmetic, goals, and the formats of the report. Nothing is measured here."""

import itertools
import json
from pathlib import Path
from uuid import uuid4

import pytest

from bench.as_json import as_json
from bench.contestants import CONTESTANTS
from bench.document import BEGIN, END, write_between_marks
from bench.documented import Documented, Way
from bench.faults import KINDS, Faults, rate
from bench.goals import ALONE, BEST_DRAIN, DEFAULT, GOALS, Goal
from bench.growth import Growth
from bench.held import Held, Phase
from bench.hops import HOPS, differences
from bench.idle import ROLES, Idle, Memory
from bench.insert import WAYS, Insert
from bench.numbers import Percentiles, median, percentiles, pooled, ratio, typical
from bench.options import COMPARED, MEASUREMENTS, read_options
from bench.plan import FULL, QUICK
from bench.priority import NAP, NO_OP, REACH_SECONDS, Times, Urgent, overtaken
from bench.recovery import RUNS_ALONE, End, Trial, judge
from bench.report import as_markdown
from bench.results import Results
from bench.scale import Scale
from bench.sessions_world import Figure
from tests.campaign.evidence import Effect, Evidence
from tests.campaign.faults import KINDS as CAMPAIGN_KINDS

ROOT = Path(__file__).parents[2]


def goal(name: str) -> Goal:
    (found,) = [goal for goal in GOALS if goal.name == name]
    return found


def complete() -> Results:
    """A run in which everything was measured; the figures make every ratio a different number."""
    memory = {role: Memory(50, 30, 90, 60) for role in ROLES}
    return Results(
        drain={"bridge": [900, 1000, 5000], "dramatiq": [250], "pgqueuer_best": [500]},
        latency={"bridge": [[3.0] * 99 + [9.0]], "dramatiq": [[10.0] * 100], "pgqueuer": [[6.0], [4.0, 4.0]]},
        idle_latency={"bridge": [[3.0], [5.0]], "dramatiq": [[100.0]]},
        pooler={"direct": [[2.0]], "pooled": [[2.3]]},
        growth=Growth(2000, [[1.0] * 3, [2.0]], [[3.0] * 3, [4.0]], [[1.0] * 3], [[6.0] * 3]),
        held=Held(120, Phase([1.0, 1.0, 1.0, 2.0], 1.5, [3.0]), Phase([7.0, 7.0, 7.0, 14.0], 10.5, [20.0])),
        insert={way: Insert([80.0, 90.0, 100.0], [100.0]) for way in WAYS},
        idle=Idle(30, {"bridge": 0.5, "worker": 0.25, "web": 0.75}, 3.5, 2.0, memory, memory | {
            "web": Memory(79, 30, 90, 60)
        }),
        scale=Scale({1: [100], 2: [110]}, {2: [800], 4: [1520]}),
        priority={
            NO_OP: [Urgent(40, 3, 4, 5, 12.0), Urgent(60, 0, 0, 0, 8.0)],
            NAP: [Urgent(9, 0, 0, 1, 9.0), Urgent(9, 0, 0, 0, 9.0), Urgent(9, 0, 2, 0, 9.0)],
        },
        recovery={
            0: [Trial([1.5, 2.5], 2, 0, 0, 0, 9.0), Trial([1.5], 1, 0, 0, 0, 8.0)],
            2: [Trial([], 0, 0, 1, 6, 30.0)],
        },
        faults=Faults([100.0, 50.0, 300.0], [85.0]),
        ways=Documented(
            2000,
            {"named": Way([9.5], [100.0], [[2.0] * 99 + [4.0]], [5.0]), "copy": Way([9000.0]),
             "plain_sql": Way([5.0], [90.0], [[2.5] * 99 + [6.0]], [7.0])},
            {"honcho": Way([], [80.0], [[3.0]], [])},
        ),
    )  # fmt: skip


def test_percentiles_are_samples_whatever_their_order() -> None:
    assert percentiles(range(100, 0, -1)) == Percentiles(51, 96, 100)
    assert percentiles([7.0]) == Percentiles(7.0, 7.0, 7.0)
    with pytest.raises(ValueError, match="no samples"):
        percentiles([])


def test_rounds_are_pooled_and_not_averaged() -> None:
    assert pooled([[1.0] * 98, [50.0, 60.0]]) == Percentiles(1.0, 1.0, 60.0)


def test_what_is_typical_is_the_median_of_the_rounds() -> None:
    assert typical([[1.0] * 99 + [9.0], [], [2.0] * 99 + [50.0], [3.0]]) == Percentiles(2.0, 2.0, 9.0)
    with pytest.raises(ValueError, match="no samples"):
        typical([[]])


def test_a_ratio_needs_both_sides() -> None:
    assert ratio(3.0, 2.0) == 1.5
    assert ratio(None, 2.0) is ratio(3.0, None) is ratio(3.0, 0.0) is None
    assert ratio(0.0, 2.0) == 0.0
    assert median([]) is None


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("drain_vs_dramatiq", 4.0),  # the medians, not the best round
        ("drain_vs_best_peer", 2.0),
        ("plain_sql_drain", 0.9),
        ("plain_sql_p50", 1.25),
        ("plain_sql_p99", 1.5),
        ("rows_before_first_worker", 1.4),
        ("latency_p50_vs_dramatiq", 0.3),
        ("latency_p50_vs_pgqueuer", 0.6),  # against the median of its rounds
        ("latency_p99_vs_pgqueuer", 1.8),
        ("idle_latency_p50_vs_dramatiq", 0.04),
        ("pooler_p50", 1.15),
        ("insert_one_client", 0.9),
        ("growth_claim_p99", 2.0),
        ("growth_stats_p50", 6.0),
        ("held_claim_p99", 7.0),
        ("idle_cpu_percent", 1.5),
        ("idle_statements_per_second", 3.5),
        ("rss_bridge_mb", 50),
        ("rss_web_mb", 79),  # the larger of idle and after a drain
        ("two_bridges", 1.1),
        ("four_workers", 1.9),
        ("urgent_overtaken", 2),
        ("drain_under_faults", 0.85),
        ("kill_next_start_p50", 1.5),
        ("kill_next_start_p99", 2.5),
        ("innocent_alone", 3),
        ("priority_unclaimed_overtakes", 3),
    ],
)
def test_the_figure_of_a_goal(name: str, figure: float) -> None:
    assert goal(name).figure(complete()) == pytest.approx(figure)


def test_every_goal_has_a_figure_in_a_complete_run_and_none_in_an_empty_one() -> None:
    assert [goal.name for goal in GOALS if goal.figure(complete()) is None] == []
    assert [goal.name for goal in GOALS if goal.figure(Results()) is not None] == []


@pytest.mark.parametrize(
    ("at_least", "figure", "verdict"),
    [
        (True, 2.49, "**no**"), (True, 2.5, "yes"), (True, 5.0, "moonshot"),
        (False, 1.31, "**no**"), (False, 1.3, "yes"), (False, 1.05, "moonshot"), (False, None, "not measured"),
    ],
)  # fmt: skip
def test_a_figure_equal_to_the_limit_meets_it(*, at_least: bool, figure: float | None, verdict: str) -> None:
    must, moonshot = (2.5, 5) if at_least else (1.3, 1.05)
    assert Goal("x", "x", must, moonshot, lambda _: figure, at_least=at_least).verdict(Results()) == verdict


def test_moonshots_are_at_least_as_strict_as_musts() -> None:
    for one in GOALS:
        assert one.moonshot >= one.must if one.at_least else one.moonshot <= one.must, one.name


def test_the_json_object_has_its_keys_in_every_run() -> None:
    keys = [
        "drain", "latency_ms", "idle_latency_ms", "pooler_ms", "ratio", "goals", "growth", "insert", "idle", "rss_mb",
        "scale", "priority", "recovery", "ways", "faults", "failed",
    ]  # fmt: skip
    for results in (complete(), Results()):
        found = json.loads(json.dumps(as_json(results)))
        assert list(found) == keys
        assert list(found["ratio"]) == [goal.name for goal in GOALS]


def test_the_json_object_holds_plain_figures() -> None:
    found = as_json(complete())
    assert found["drain"] == {"bridge": 1000, "dramatiq": 250, "pgqueuer_best": 500}
    assert found["latency_ms"]["bridge"] == {"p50": 3.0, "p95": 3.0, "p99": 9.0}
    assert found["idle_latency_ms"]["dramatiq"] == {"p50": 100.0, "p95": 100.0, "p99": 100.0}
    assert found["growth"]["claim_ms"]["grown"]["p99"] == 4.0
    assert found["growth"]["held_transaction"]["claim_ms"]["held"]["p99"] == 14.0
    assert found["insert"]["sixteen_clients"] == {"triggers": 90.0, "bare": 100.0, "ratio": 0.9}
    assert found["idle"]["cpu_percent"]["all"] == 1.5
    assert found["rss_mb"]["web"]["after_drain"]["rss"] == 79
    assert found["scale"] == {"bridges": {"1": 100, "2": 110}, "workers": {"2": 800, "4": 1520}}
    assert found["priority"]["no-op"]["of_these"] == {"unclaimed": 3, "unfetched": 4, "not_begun": 5}
    assert found["priority"]["20 ms"]["overtaken"] == 2
    assert found["recovery"]["0_killers"]["next_start_seconds"] == {"p50": 1.5, "p95": 2.5, "p99": 2.5}
    assert found["faults"] == {"calm": 100.0, "faults": 85.0}
    assert found["recovery"]["2_killers"]["not_completed"] == 1
    assert found["ways"]["insert"]["plain_sql"]["latency_ms"]["p99"] == 6.0
    assert found["ways"]["work"]["honcho"] == {
        "rows_per_second": None, "drain": 80.0, "latency_ms": {"p50": 3.0, "p95": 3.0, "p99": 3.0}, "cold_seconds": None
    }  # fmt: skip
    assert found["goals"]["drain_vs_dramatiq"] == "yes"
    assert found["goals"]["held_claim_p99"] == "no"


def test_a_contestant_that_failed_every_round_is_left_out_of_the_figures() -> None:
    results = Results(drain={"bridge": [], "dramatiq": [5]}, latency={"bridge": [], "dramatiq": [[1.0]]},
                      failed={"drain, round 1, bridge": "RuntimeError: 2 jobs, 1 runs of 1"})  # fmt: skip
    found = as_json(results)
    assert found["drain"] == {"dramatiq": 5}
    assert found["ratio"]["drain_vs_dramatiq"] is found["ratio"]["latency_p50_vs_dramatiq"] is None
    assert "- drain, round 1, bridge: RuntimeError: 2 jobs" in as_markdown(results, "")


def test_the_goals_come_first_and_every_table_is_well_formed() -> None:
    text = as_markdown(complete(), "Today.")
    assert text.startswith("Today.\n\n### Goals\n")
    assert "| drain of no-op jobs against Dramatiq alone at its default | 4.00 x | >= 3.5 x | >= 5 x | yes |" in text
    assert "| `INSERT … VALUES` | 5.0 | 90 | 2.50 | 6.00 | 7.0 |" in text
    assert "| 20 ms | 3 | 2 | 9 | 9 | 0 | 2 | 1 | 9.00 | 9.00 |" in text
    assert "| kill -9 from outside | 2 | 3 | 1.50 | 2.50 | 2.50 | 3 | 0 | 0 | - | 9 |" in text
    assert "| 2 of the jobs | 1 | 0 | - | - | - | 0 | 0 | 1 | 3.0 | 30 |" in text
    assert "| calm | 100 | 50 to 300 |" in text
    assert "| `honcho start` | 80 | 3.00 | 3.00 | - |" in text
    assert "| RSS of the web process | 79 MB | <= 80 MB | <= 60 MB | yes |" in text
    assert "| bridge | 1,000 | 900 to 5,000 | 1.00 x |" in text
    tables = [list(lines) for is_table, lines in itertools.groupby(text.splitlines(), lambda line: line[:1] == "|")
              if is_table]  # fmt: skip
    assert len(tables) == 16
    for table in tables:
        assert len({line.count("|") for line in table}) == 1, table[0]


def test_overtakers_are_counted_by_how_far_they_were() -> None:
    """The urgent job is committed at 10.0, could have been fetched at 11.0, and begins at 20.0."""
    urgent, other_urgent, low = 100, 101, 50
    times = {
        urgent: Times(11.0 - REACH_SECONDS, 12.0, 20.0),
        other_urgent: Times(10.5, 10.6, 15.0),
        0: Times(8.0, 8.5, 9.0),  # ran
        1: Times(8.0, 8.5, 10.5),  # could have been passed by nobody
        2: Times(8.0, 10.5, 12.0),
        3: Times(8.0, 11.5, 12.0),
        4: Times(10.5, 11.5, 12.0),
        5: Times(12.0, 21.0, 22.0),  # came after it
    }

    found = overtaken(urgent, 10.0, times, low)

    assert found == Urgent(4, unclaimed=1, unfetched=1, not_begun=1, milliseconds=10_000)
    assert found.is_overtaken
    assert not overtaken(urgent, 10.0, {key: times[key] for key in (0, 1, 5, urgent)}, low).is_overtaken


def test_each_hop_is_the_time_since_the_one_before_it_of_jobs_that_were_seen_at_all_of_them() -> None:
    moments = {name: {"seen": 0.001 * number, "missed": 9.0} for number, name in enumerate(["committed", *HOPS])}
    del moments["fetched"]["missed"]

    found = differences(moments)

    assert {name: [round(ms, 6) for ms in times] for name, times in found.items()} == {
        **{name: [1.0] for name in HOPS},
        "in all": [6.0],
    }


def test_innocent_jobs_are_judged_by_what_followed_each_death() -> None:
    """Process 1 dies at 10.0 by job 3, process 2 at 20.0; jobs 1 and 2 died with them, job 4 was handed back once."""
    runs = [
        (1, 1, 9.0),
        (2, 1, 12.0),
        (3, 1, 21.0),
        (1, 2, 9.5),
        (3, 2, 11.0),
        (1, 3, 9.8),
        (2, 3, 19.8),
        (3, 4, 8.0),
        (3, 4, 9.0),
    ]
    ends = {
        1: End("completed", 2, was_alone=True),
        2: End("completed", 1, was_alone=False),
        3: End("failed", 2, was_alone=True),
        4: End("completed", 0, was_alone=False),
    }

    found = judge(runs, {1: 10.0, 2: 20.0}, ends, {3}, 15.0)

    assert sorted(found.next_starts) == [1.0, 1.0, 2.0]
    assert (found.alone, found.died_again, found.failed, found.killer_runs) == (1, 1, 0, 2)


def test_the_bridge_says_by_this_log_line_that_a_job_runs_alone() -> None:
    assert any(RUNS_ALONE in file.read_text() for file in (ROOT / "bridge" / "dispatch").glob("*.py"))


def test_the_rate_under_faults_does_not_wait_for_the_last_jobs() -> None:
    moments = [("start", 10.0), ("start", 10.5), ("end", 12.0), ("end", 11.0), ("end", 99.0)]
    effects = [Effect(what, uuid4(), 1, uuid4(), 1, at) for what, at in moments]
    assert rate(Evidence((), {}, (), effects), 2) == 1.0


def test_faults_are_those_of_the_campaign() -> None:
    assert set(KINDS) <= set(CAMPAIGN_KINDS)


def test_tables_go_between_the_marks_and_the_prose_stays(tmp_path: Path) -> None:
    file = tmp_path / "performance.md"
    write_between_marks(file, "old")
    assert file.read_text() == f"# Performance\n\n{BEGIN}\nold\n{END}\n"
    file.write_text(f"Before.\n{BEGIN}\nold\n{END}\nAfter.\n")
    for _ in range(2):
        write_between_marks(file, "\nnew\n\n")
        assert file.read_text() == f"Before.\n{BEGIN}\nnew\n{END}\nAfter.\n"


@pytest.mark.parametrize("text", ["no marks", BEGIN, f"{END}\n{BEGIN}"])
def test_a_document_without_its_marks_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "performance.md"
    file.write_text(text)
    with pytest.raises(ValueError, match="to write between"):
        write_between_marks(file, "new")
    assert file.read_text() == text


def test_only_chooses_measurements_and_contestants() -> None:
    assert read_options([]).measurements == MEASUREMENTS
    assert read_options(["--only", "idle"]).measurements == ("idle",)
    both = read_options(["--quick", "--only", "celery", "drain"])
    assert (both.plan, both.measurements, both.of(QUICK.drain_contestants)) == (QUICK, ("drain",), ("celery",))
    assert read_options(["--only", "bridge"]).measurements == COMPARED
    assert read_options([]).of(FULL.drain_contestants) == tuple(CONTESTANTS)
    assert read_options(["--quick"]).of(QUICK.drain_contestants) == QUICK.drain_contestants


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_options(["--only", "nobody"])
    assert "invalid choice: 'nobody'" in capsys.readouterr().err


def test_what_no_goal_is_about_takes_part_once() -> None:
    assert FULL.of_round(1, ["bridge", "celery"]) == ["bridge", "celery"]
    assert FULL.of_round(2, ["bridge", "celery"]) == ["bridge"]
    assert not {"bridge", ALONE, DEFAULT, BEST_DRAIN} & set(FULL.once)


def test_plans_name_contestants_that_exist() -> None:
    for plan in (QUICK, FULL):
        for names in (plan.drain_contestants or (), plan.once, plan.latency_contestants, plan.idle_latency_contestants):
            assert set(names) <= set(CONTESTANTS)


def test_a_figure_of_sessions_that_was_not_measured_is_not_met() -> None:
    assert Figure("time", 20, 20, "ms").is_met
    assert not Figure("time", 20.1, 20, "ms").is_met
    assert not Figure("time", None, 20, "ms").is_met
