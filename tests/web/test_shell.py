"""What stands around the dashboard: its policy, its files, its guards."""

import re

import httpx
from fastapi import FastAPI

from app.web.assets import PREFIX
from app.web.rendering import STATIC
from tests.support.http import client_of


async def get(app: FastAPI, path: str) -> httpx.Response:
    async with client_of(app) as anonymous:
        return await anonymous.get(f"http://test{path}")


class TestTheShell:
    async def test_is_open_and_allows_no_inline_script_or_style(self, app: FastAPI) -> None:
        answer = await get(app, "/")
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", answer.text)
        assert "http" not in answer.text.replace("http-equiv", "")  # nothing from elsewhere

    async def test_names_files_that_are_there_and_may_be_kept_for_a_year(self, app: FastAPI) -> None:
        shell = (await get(app, "/")).text
        files = set(re.findall(rf'"({PREFIX}/[^"]+)"', shell))
        assert len(files) >= 6
        for path in files:
            answer = await get(app, path)
            assert answer.status_code == 200, path
            assert "immutable" in answer.headers["cache-control"]

    async def test_shows_nothing_of_models_without_a_token(self, app: FastAPI) -> None:
        for path in ("/ui/dashboard", "/ui/table"):
            assert (await get(app, path)).status_code == 401


class TestVendoredFiles:
    def test_come_with_their_licences(self) -> None:
        folders = [folder for folder in (STATIC / "vendor").iterdir() if folder.is_dir()]
        assert {"htmx", "uplot"} <= {folder.name for folder in folders}
        for name in ("htmx", "uplot"):
            assert (STATIC / "vendor" / name / "LICENSE").stat().st_size > 100

    def test_load_nothing_from_elsewhere(self) -> None:
        for path in STATIC.glob("*.js"):
            assert not re.search(r"https?://", path.read_text()), path
