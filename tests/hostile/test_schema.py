"""Schemathesis over the OpenAPI document against the served product: whatever it makes of the schemas, valid or not,
is answered as the document says (G9)."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import hypothesis
import hypothesis.errors
import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from tests.hostile.cases import Caller
from tests.hostile.operations import DOCUMENT
from tests.support.counts import Counts, forms
from tests.support.served import ServedProduct

MODEL = "of-the-schema"
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
APART = ("/stream", "/events", "/auth/logout")  # two have no end, the other ends the token that asks
NOBODY = 2**31 - 2  # in place of users' numbers: the first is who asks
BOTH = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


class Report:
    """What was asked, and what of the answers the document does not say."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.untrue: dict[str, str] = {}

    def judge(self, case: Any, response: Any) -> None:
        self.statuses[response.status_code] += 1
        if _fails(case, response, CHECKS) is None:
            return
        for check in CHECKS:
            failure = _fails(case, response, [check])
            if failure is not None:
                where = f"{case.method} {case.path} {response.status_code} {check.__name__}"
                self.untrue.setdefault(where, " ".join(str(failure).split())[:400])


def _fails(case: Any, response: Any, wanted: list[Any]) -> Exception | None:
    try:
        case.validate_response(response, checks=wanted)
    except Exception as failure:  # told with all others, not one at a time
        return failure
    return None


def operations() -> Iterator[Any]:
    """Those that end something come last."""
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    found = [result.ok() for result in schema.get_all_operations()]
    found = [operation for operation in found if not operation.path.endswith(APART)]
    yield from sorted(found, key=lambda operation: operation.method == "delete")


def asking(operation: Any, mode: GenerationMode, *, seed: int, examples: int, ask: Callable[[Any], None]) -> None:
    """Asks `examples` cases of one operation, the same for the same seed."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
    def each(case: Any, known: bool) -> None:
        if known and "model_id" in case.path_parameters:
            case.path_parameters["model_id"] = MODEL
        if "user_id" in case.path_parameters:
            case.path_parameters["user_id"] = NOBODY
        ask(case)

    with suppress(hypothesis.errors.Unsatisfiable):  # nothing can be wrong with what takes nothing
        each()


@pytest.mark.fault("G9")
class TestSchemathesis:
    @forms(smoke=(2, 3), long=(10, 500))
    def test_answers_are_as_the_document_says(
        self, product: ServedProduct, caller: Caller, counts: Counts, size: tuple[int, int]
    ) -> None:
        seeds, examples = size
        headers = {"Authorization": f"Bearer {caller.token.decode()}"}
        setup = {"model_info": {"model_id": MODEL}}
        httpx.post(f"{product.url}/api/v1/models/{MODEL}/tracking/setup", json=setup, headers=headers)
        report, asked = Report(), list(operations())
        with requests.Session() as session:

            def ask(case: Any) -> None:
                report.judge(case, case.call(base_url=product.url, headers=headers, session=session))

            for number in range(seeds):
                for operation in asked:
                    for mode in BOTH:
                        asking(operation, mode, seed=counts.seed + number, examples=examples, ask=ask)
        broken = sum(times for status, times in report.statuses.items() if status >= 500)
        counts.note("operations", len(asked))
        counts.none("5xx", broken, report.statuses.total())
        counts.none("answers that the document does not tell", list(report.untrue.items()))
        counts.note("statuses", dict(sorted(report.statuses.items())))
        counts.judge()
