"""The pages that follow from the code are what the code says now."""

from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY

from app.core.errors import Problem
from docs.generate import ROOT, pages

PAGES = pages()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_is_up_to_date(page: Path) -> None:
    assert page.read_text() == PAGES[page], "run: ./dev docs"


def test_names_every_metric_that_the_process_has() -> None:
    told = PAGES[ROOT / "docs/metrics.md"]
    ours = [family for family in REGISTRY.collect() if family.name.startswith("assay_")]
    assert len(ours) >= 12
    for family in ours:
        assert f"`{family.name}{'_total' if family.type == 'counter' else ''}` | {family.type}" in told


class TestTheTypeOfAProblem:
    """It is an address of this service, and somebody who follows it reads what the page of all says."""

    async def test_leads_to_what_it_means(self, client: httpx.AsyncClient) -> None:
        told = PAGES[ROOT / "docs/problems.md"]
        for slug, kind in Problem.kinds.items():
            answer = await client.get(f"http://test/problems/{slug}")
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/html")
            assert f"## {slug}\n\n**{kind.status}** · {kind.title}." in told
            assert f"HTTP status {kind.status}" in answer.text

    async def test_is_what_an_answer_says(self, client: httpx.AsyncClient) -> None:
        refused = (await client.get("/auth/me")).json()
        page = await client.get(f"http://test{refused['type']}")
        assert f"<h1>{refused['title']}</h1>" in page.text

    async def test_of_no_kind_is_not_found(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("http://test/problems/<script>")
        assert answer.status_code == 404
        assert "<script>" not in answer.json()["detail"]
