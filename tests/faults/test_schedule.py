"""The printed seed repeats the kills: what dies, in which order, when (G20)."""

import asyncio
import random
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.faults import test_audited, test_rotation
from tests.faults.kills import planned, schedule
from tests.support.counts import Counts

ROOT = Path(__file__).parents[2]
SEEDS = range(20)
ROTATION = (
    "tests/faults/test_rotation.py::TestKilledBetweenRotationAndAnswer::test_one_token_of_a_family_lives_or_none[smoke]"
)
Plan = Callable[[random.Random], Sequence[Any]]
PLANS: dict[str, Plan] = {
    "load": lambda draw: planned(draw, database=100, server=50),
    "rotations": lambda draw: test_rotation.rounds(draw, test_rotation.LONG),
    "changes": lambda draw: test_audited.plan_of(draw, test_audited.LONG),
}


@pytest.mark.fault("G20")
class TestSchedule:
    @pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
    def test_is_the_seeds(self, plan: Plan) -> None:
        made = [repr(plan(random.Random(f"{seed}:a test"))) for seed in SEEDS]
        assert made == [repr(plan(random.Random(f"{seed}:a test"))) for seed in SEEDS]
        assert len(set(made)) == len(SEEDS)

    def test_is_of_the_test_alone(self, draw: random.Random, counts: Counts, request: pytest.FixtureRequest) -> None:
        again = random.Random(f"{counts.seed}:{request.node.nodeid}")
        assert planned(draw, database=9, server=9, both=9) == planned(again, database=9, server=9, both=9)

    @pytest.mark.long
    @pytest.mark.parametrize("seed", [7, 8])
    async def test_is_what_a_run_with_the_seed_carries_out(self, seed: int, counts: Counts) -> None:
        """In a process of its own; what it must print is computed here."""
        plan = test_rotation.rounds(random.Random(f"{seed}:{ROTATION}"), test_rotation.SMOKE)
        command = [sys.executable, "-m", "pytest", "-q", "--table", "--seed", str(seed), ROTATION]
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
        said = (await process.communicate())[0].decode()
        found = re.findall(r"schedule (\S+ [0-9a-f]{12})", said)
        counts.note("schedule", found)
        counts.holds("ended well", is_so=process.returncode == 0)
        counts.holds("its seed is printed", is_so=f"--seed {seed}" in said)
        counts.holds("as computed", is_so=set(found) == {schedule(plan, test_rotation.victims(plan))})
        counts.judge()
