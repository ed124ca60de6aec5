"""The API's documentation, served from our own files alone."""

import re

import httpx
import pytest

from app.web.rendering import STATIC


class TestPages:
    @pytest.mark.parametrize("path", ["/docs", "/redoc"])
    async def test_asks_nobody_else_for_anything(self, client: httpx.AsyncClient, path: str) -> None:
        page = await client.get(f"http://test{path}")
        assert page.status_code == 200
        links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert len(links) >= 3
        for link in links:
            assert link.startswith(("/static/", "data:"))
            if link.startswith("/static/"):
                assert (await client.get(f"http://test{link}")).status_code == 200

    @pytest.mark.parametrize("path", ["/docs", "/redoc"])
    async def test_allows_scripts_from_here_only(self, client: httpx.AsyncClient, path: str) -> None:
        policy = (await client.get(f"http://test{path}")).headers["content-security-policy"]
        rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
        assert rules["script-src"] == "'self'"
        assert rules["connect-src"] == "'self'"
        assert rules["default-src"] == "'none'"

    def test_the_vendored_tools_name_no_address_to_load_from(self) -> None:
        for file in (STATIC / "vendor").rglob("*"):
            if file.suffix in {".js", ".css"}:
                assert "cdn." not in file.read_text(), file.name

    async def test_the_document_is_where_the_pages_look(self, client: httpx.AsyncClient) -> None:
        document = (await client.get("/openapi.json")).json()
        assert document["openapi"] == "3.1.0"
