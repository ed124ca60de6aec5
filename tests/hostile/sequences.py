"""Runs of random sequences against the served product, counted by status."""

from typing import Any

import httpx
import hypothesis
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.support.counts import Counts

SHORT = 8  # sequences of a seed; more are the long form


class Sequence(RuleBasedStateMachine):
    """`client` (an admin's) and `statuses` are set on the class that a run makes of it."""

    client: httpx.Client
    statuses: dict[int, int]

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Any answer but 5xx; a refusal is a problem."""
        answer = self.client.request(method, path, **options)
        self.statuses[answer.status_code] = self.statuses.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, answer.text
        assert answer.is_success or answer.headers["content-type"] == "application/problem+json"
        return answer


def run(machine: type[Sequence], url: str, token: str, counts: Counts, size: tuple[int, int, int]) -> None:
    """`size`: seeds, sequences of a seed, steps of a sequence."""
    seeds, examples, steps = size
    statuses: dict[int, int] = {}
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=steps,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        # the short form shows what it finds as it is: making it smaller may take minutes
        phases=(hypothesis.Phase.generate, *([hypothesis.Phase.shrink] if examples > SHORT else [])),
    )
    with httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        for number in range(seeds):
            made = type(f"{machine.__name__}OfARun", (machine,), {"client": client, "statuses": statuses})
            run_state_machine_as_test(hypothesis.seed(counts.seed + number)(made), settings=settings)
    counts.note("sequences", seeds * examples)
    counts.none("5xx", sum(times for status, times in statuses.items() if status >= 500), sum(statuses.values()))
    counts.note("statuses", dict(sorted(statuses.items())))
    counts.judge()
