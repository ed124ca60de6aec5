"""The dashboard in a real Chromium: what somebody sees who signs in."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from playwright.async_api import Browser, Page, expect

from app.core.clock import DAY, HOUR, FrozenClock
from app.core.settings import Settings
from app.db.engine import Database
from app.main import create_app
from app.models.facts import ModelFacts
from tests.support.browser import Watch, browser, chromium, served
from tests.support.models import make_model
from tests.support.tracked import track

__all__ = ["browser", "chromium"]  # fixtures

PATIENCE_MS = 8000
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture
async def facts(database: Database, clock: FrozenClock) -> ModelFacts:
    """40 days of 50 predictions; labels take two days. 204 of the 1,900 labelled are wrong: scores from 0.4 to 0.5."""
    facts = await make_model(database, "flights-late", versions=("1",))
    at = clock.now_us() - np.arange(2000) * (40 * DAY // 2000)
    await predict(database, clock, facts, at, known_at=at + 2 * DAY)
    return facts


async def predict(
    database: Database, clock: FrozenClock, facts: ModelFacts, at: np.ndarray, *, known_at: np.ndarray
) -> None:
    score = np.linspace(0.01, 0.99, len(at))
    await track(
        database,
        clock,
        facts,
        predicted_at=at,
        predicted=(score >= 0.5).astype(int),
        score=score,
        actual=(score >= 0.4).astype(float),
        known_at=known_at,
        segments=({"origin": "JFK"}, {"origin": "a <b>bold</b> one"}),
        segment=np.arange(len(at)) % 2,
    )


@pytest.fixture
def origin(settings: Settings, clock: FrozenClock) -> Iterator[str]:
    unlimited = settings.model_copy(update={"limits": settings.limits.model_copy(update={"enabled": False})})
    with served(create_app(unlimited, clock=clock)) as address:
        yield address


@dataclass(frozen=True, slots=True)
class Visitor:
    """A browser's page on our origin."""

    page: Page
    watch: Watch
    origin: str

    async def sign_in(self, query: str = "", password: str = "a-long-first-password") -> None:
        await self.page.goto(f"{self.origin}/{query}")
        await self.page.fill("#username", "admin@example.com")
        await self.page.fill("[name=password]", password)
        await self.page.click("text=Sign in")

    async def see(self, selector: str, text: str | re.Pattern[str]) -> None:
        await expect(self.page.locator(selector)).to_contain_text(text, timeout=PATIENCE_MS)

    async def width(self) -> tuple[int, int]:
        """What the page takes and what it has."""
        taken, given = await self.page.evaluate("[document.documentElement.scrollWidth, document.body.clientWidth]")
        return taken, given

    async def inked(self, selector: str = "#accuracy canvas") -> int:
        """How many pixels of a plot are drawn on."""
        data = "c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
        return int(await self.page.locator(selector).evaluate(f"c => {data}.filter((v, i) => i % 4 == 3 && v).length"))

    def calls(self) -> int:
        """Requests so far that the service had to think about."""
        return sum("/ui/" in url or "/api/" in url for url in self.watch.addresses)

    def assert_clean(self) -> None:
        assert self.watch.errors == []
        assert self.watch.elsewhere(self.origin) == []


@pytest.fixture
async def visitor(browser: Browser, origin: str) -> AsyncIterator[Visitor]:
    context = await browser.new_context(viewport=DESKTOP)
    watch, page = Watch(), await context.new_page()
    watch.follow(page)
    yield Visitor(page, watch, origin)
    await context.close()


class TestSigningIn:
    async def test_shows_the_headline_with_its_interval_and_draws_the_plots(
        self, visitor: Visitor, facts: ModelFacts
    ) -> None:
        await visitor.sign_in()
        await visitor.see(".number", "89.3%")
        await visitor.see(".interval", re.compile(r"^\d\d\.\d to \d\d\.\d %$"))
        await visitor.see(".trust", "Rests on 1,900 labels; 95 % of the predictions have theirs.")
        await visitor.see(
            "#readout", "Fri, 27 Feb 2026 UTC  100.0 % (92.9 % to 100.0 %)  ·  100 % of 50 labelled, final"
        )
        await visitor.see("[aria-label=Segments]", "origin:a <b>bold</b> one")  # as text, not as markup
        assert await visitor.inked() > 5000
        assert await visitor.inked("#coverage canvas") > 5000
        visitor.assert_clean()

    async def test_keeps_tokens_away_from_scripts_and_survives_a_reload(
        self, visitor: Visitor, facts: ModelFacts
    ) -> None:
        await visitor.sign_in()
        await visitor.see("h1", "flights-late")
        stored = await visitor.page.evaluate("({...localStorage, ...sessionStorage})")
        assert stored == {"assay-signed-in": "1", "htmx-current-path-for-history": "/?model=flights-late"}
        assert await visitor.page.evaluate("document.cookie") == ""
        await visitor.page.reload()
        await visitor.see("h1", "flights-late")
        await visitor.page.click("text=Sign out")
        await visitor.page.reload()
        await expect(visitor.page.locator("#login")).to_be_visible()
        assert await visitor.page.locator("#view").inner_html() == ""
        visitor.assert_clean()

    async def test_with_a_wrong_password_says_so_in_words(self, visitor: Visitor) -> None:
        await visitor.sign_in(password="not-the-password")
        await visitor.see("#login-said", re.compile(r"\w+ \w+"))
        await expect(visitor.page.locator("#app")).to_be_hidden()


class TestTheView:
    async def test_follows_what_is_tracked_without_a_touch(
        self, visitor: Visitor, facts: ModelFacts, database: Database, clock: FrozenClock
    ) -> None:
        await visitor.sign_in()
        await visitor.see("#pulse", "live")
        await visitor.see(".facts", "2,000")
        calls = visitor.calls()
        at = clock.now_us() - np.arange(500) * (HOUR // 500)
        await predict(database, clock, facts, at, known_at=at)
        await visitor.see(".facts", "2,500")
        await visitor.see("#models", "2.5 k rows, 2.4 k labels")
        assert visitor.calls() == calls + 1  # one call a refresh
        assert await visitor.inked() > 5000
        visitor.assert_clean()

    async def test_can_be_narrowed_and_the_address_says_how(self, visitor: Visitor, facts: ModelFacts) -> None:
        await visitor.sign_in()
        await visitor.page.select_option("#metric", "roc_auc")
        await visitor.see("figure h2", "ROC AUC per day")
        await visitor.page.wait_for_timeout(500)  # the new fragment settles: only then its fields are listened to
        await visitor.page.select_option("#segment", "origin:JFK")
        await visitor.see(".facts", "1,000")
        assert "metric=roc_auc&segment=origin%3AJFK" in visitor.page.url
        await visitor.page.reload()
        await visitor.see("figure h2", "ROC AUC per day")
        await visitor.page.click("text=Reset")
        await visitor.see("figure h2", "Accuracy per day")
        visitor.assert_clean()

    async def test_goes_back_in_time_and_stands_still_there(self, visitor: Visitor, facts: ModelFacts) -> None:
        await visitor.sign_in("?as_of=2026-02-20T12:00")
        await visitor.see(".asof", "As it was known on 20 Feb 2026 12:00")
        assert await visitor.page.locator("#live").get_attribute("data-past") is not None
        visitor.assert_clean()

    async def test_of_the_past_goes_forward_again_and_ends_when_the_field_is_emptied(
        self, visitor: Visitor, facts: ModelFacts
    ) -> None:
        await visitor.sign_in("?as_of=2026-02-20T12:00")
        await visitor.see(".asof", "20 Feb 2026 12:00")
        calls = visitor.calls()
        await visitor.page.fill("#as_of", "0202-02-25T12:00")  # a year half typed: nothing is asked
        await visitor.page.fill("#as_of", "2026-02-25T12:00")
        await visitor.see(".asof", "25 Feb 2026 12:00")
        assert visitor.calls() == calls + 1
        await visitor.page.wait_for_timeout(500)  # the new fragment settles: only then its fields are listened to
        await visitor.page.fill("#as_of", "")
        await expect(visitor.page.locator(".asof")).to_have_count(0)
        assert "as_of" not in visitor.page.url
        visitor.assert_clean()

    async def test_of_minutes_that_are_gone_offers_hours(
        self, visitor: Visitor, database: Database, clock: FrozenClock
    ) -> None:
        old = await make_model(database, "old")
        at = clock.now_us() - np.arange(72, 78) * HOUR
        await predict(database, clock, old, at, known_at=at)
        await visitor.sign_in("?interval=minute")
        await visitor.see(".empty", re.compile("kept for 48 hours.*hours or days"))
        await expect(visitor.page.locator(".next")).to_have_count(0)
        visitor.assert_clean()

    async def test_can_be_read_with_the_keyboard_and_as_a_table(self, visitor: Visitor, facts: ModelFacts) -> None:
        await visitor.sign_in()
        await visitor.page.locator("#accuracy").focus()
        before = await visitor.page.locator("#readout").inner_text()
        await visitor.page.keyboard.press("Home")
        await expect(visitor.page.locator("#readout")).not_to_have_text(before)
        await visitor.see("#readout", "Wed, 21 Jan 2026")
        assert "39 values" in (await visitor.page.locator("#accuracy").get_attribute("aria-label") or "")
        await visitor.page.click("summary")
        await expect(visitor.page.locator("#table tbody tr")).to_have_count(41, timeout=PATIENCE_MS)
        visitor.assert_clean()

    async def test_says_what_to_send_next_where_nothing_is_yet(
        self, visitor: Visitor, database: Database, clock: FrozenClock
    ) -> None:
        await visitor.sign_in()
        await visitor.see("#panel", f"curl {visitor.origin}/api/v1/models/my-model/tracking/setup")
        await make_model(database, "young")
        await visitor.page.reload()
        await visitor.see("#panel", "/models/young/predictions")
        visitor.assert_clean()

    async def test_says_what_went_wrong_in_words(self, visitor: Visitor, facts: ModelFacts) -> None:
        await visitor.sign_in("?model=nobody")
        await visitor.see("#said", "there is no model nobody")


class TestTheLook:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    async def test_fits_a_phone_and_the_colours_of_the_system(
        self, browser: Browser, origin: str, facts: ModelFacts, scheme: str
    ) -> None:
        context = await browser.new_context(viewport=PHONE, color_scheme=scheme, device_scale_factor=2)  # type: ignore[arg-type]
        visitor = Visitor(await context.new_page(), Watch(), origin)
        visitor.watch.follow(visitor.page)
        await visitor.sign_in()
        await visitor.see(".number", "89.3%")
        taken, given = await visitor.width()
        assert taken <= given
        ground = await visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(int(part) for part in re.findall(r"\d+", ground)[:3]) / 3
        assert (brightness > 200) if scheme == "light" else (brightness < 60)
        visitor.assert_clean()
        await context.close()

    async def test_does_not_jump_while_it_refreshes(self, visitor: Visitor, facts: ModelFacts) -> None:
        await visitor.sign_in()
        await visitor.see(".number", "89.3%")
        place = (
            "() => [...document.querySelectorAll('#accuracy, #coverage, .pair')].map(e => e.getBoundingClientRect().y)"
        )
        before = await visitor.page.evaluate(place)
        async with visitor.page.expect_response(re.compile("/ui/dashboard")):
            await visitor.page.evaluate("htmx.trigger('#live', 'refresh')")
        await visitor.page.wait_for_timeout(100)
        assert await visitor.page.evaluate(place) == before
