"""The campaign's plan is a function of its seed; its times of recovery come from the records alone."""

from uuid import uuid4

import pytest

from tests.campaign.evidence import Attempt, Effect, Evidence, Fault
from tests.campaign.faults import KINDS, WEIGHTS
from tests.campaign.message_copies import hand_overs, is_real
from tests.campaign.plan import Kind, Plan, make_plan
from tests.campaign.recovery_times import recoveries, spread, throughput


def plan(seed: int, *, jobs: int = 2000, faults: int = 200) -> Plan:
    return make_plan(seed, jobs=jobs, faults=faults, load_seconds=60, calm_seconds=5, weights=WEIGHTS)


def test_the_same_seed_is_the_same_plan_and_another_is_another() -> None:
    assert plan(5) == plan(5)
    assert plan(5).fingerprint() == plan(5).fingerprint() != plan(6).fingerprint()


def test_all_jobs_are_there_once_and_every_kind_of_job_and_fault() -> None:
    made = plan(5)
    jobs = [job for batch in made.batches for job in batch.jobs]
    assert made.jobs == 2000
    assert len({job.id for job in jobs}) == len(jobs) > 2000  # some are rolled back
    assert {job.kind for batch in made.batches if batch.commits for job in batch.jobs} == set(Kind)
    assert {fault.kind for fault in made.faults} == set(KINDS)
    assert len(made.faults) == 200


def test_faults_are_in_order_and_none_is_in_the_calm_period() -> None:
    moments = [fault.at for fault in plan(5).faults]
    assert moments == sorted(moments)
    assert 5 <= moments[0] <= moments[-1] <= 60


def test_a_spread_has_median_p99_and_maximum() -> None:
    found = spread([float(n) for n in range(1, 101)])
    assert found is not None
    assert (found.count, found.p50, found.p99, found.most) == (100, 50, 99, 100)
    assert spread([]) is None


JOB, OTHER = uuid4(), uuid4()


def evidence(fault: Fault) -> Evidence:
    """Process 7 ran JOB's first attempt from 10 on; it was taken back at 14 and ran again at 16."""
    return Evidence(
        sent=[],
        rows={},
        attempts=[
            Attempt(JOB, 1, uuid4(), 7, 9, 10, 14, "crashed"),
            Attempt(JOB, 2, uuid4(), 8, 15, 16, 17, "completed"),
            Attempt(OTHER, 1, uuid4(), 7, 9, 10, 11, "completed"),
        ],
        effects=[
            Effect("start", JOB, 1, uuid4(), 7, 10.0),
            Effect("start", OTHER, 1, uuid4(), 7, 10.0),
            Effect("start", JOB, 2, uuid4(), 8, 16.0),
            Effect("end", JOB, 2, uuid4(), 8, 17.0),
        ],
        faults=[fault],
    )


def test_recovery_from_a_death_counts_what_it_cut_short() -> None:
    found = recoveries(evidence(Fault("kill", 11.5, pids=[7])))["kill"]
    assert found.taken_back is not None and found.next_start is not None
    assert (found.taken_back.count, found.taken_back.most) == (1, 2.5)
    assert (found.next_start.count, found.next_start.most) == (1, 4.5)


@pytest.mark.parametrize("fault", [Fault("kill", 14.5, pids=[7]), Fault("kill", 11.5, pids=[8])])
def test_recovery_from_a_death_does_not_count_attempts_of_other_processes(fault: Fault) -> None:
    assert recoveries(evidence(fault))["kill"].taken_back is None


def test_recovery_of_a_lost_hand_over_is_its_next_start_also_at_the_same_fence() -> None:
    again = recoveries(evidence(Fault("flush", 9.5, handed=[(JOB, 1)])))["flush"].next_start
    anew = recoveries(evidence(Fault("flush", 10.5, handed=[(JOB, 1)])))["flush"].next_start
    assert again is not None and anew is not None
    assert (again.most, anew.most) == (0.5, 5.5)


def test_the_next_claim_is_anybodys() -> None:
    found = recoveries(evidence(Fault("bridge", 11, next_claim_since=11)))["bridge"].next_claim
    assert found is not None and found.most == 4


def test_throughput_counts_ends() -> None:
    assert throughput(evidence(Fault("none", 0)), 15, 19) == 0.25


def test_messages_of_the_bridge_are_distinguished_from_forged_ones() -> None:
    real = f'{{"queue_name":"campaign","options":{{"redis_message_id":"x"}},"args":["{JOB}",3,"{OTHER}",1]}}'.encode()
    assert is_real(real)
    assert hand_overs(real) == [(JOB, 3), (OTHER, 1)]
    assert not is_real(b"\xff{not json")
    assert not is_real(real.replace(b"campaign", b"another"))
