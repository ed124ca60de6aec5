"""`assay check`: finds what is not what the raw rows say, and mends it."""

import pytest

from app.core.clock import FrozenClock, SystemClock, rfc3339
from app.db.engine import Database
from app.models.catalogue import Catalogue
from app.tracking.rollups.fold import Folder
from tests.cli.test_commands import typed
from tests.support.models import make_model
from tests.support.tracking import label, send, tracking


@pytest.fixture
async def tracked(database: Database) -> Database:
    """Two models of today, folded; the first one's hours are spoiled."""
    now = SystemClock().now_us()
    service = tracking(database, FrozenClock(now))
    for model in ("m1", "m2"):
        await make_model(database, model)
        rows = [{"prediction_id": f"p{n}", "score": n / 9, "timestamp": rfc3339(now)} for n in range(9)]
        await send(service, *rows, model=model)
        await label(service, {"prediction_id": "p1", "actual": "1"}, model=model)
        await Folder(database, FrozenClock(now)).fold_all()
    async with database.transaction() as connection:
        number = (await Catalogue(database).facts("m1")).id
        await connection.execute("update rollup set core = '' where grain = 3600 and model_no = $1", number)
    return database


class TestCheck:
    def test_lists_what_differs_until_it_is_mended(self, database_url: str, tracked: Database) -> None:
        here = {"ASSAY_DATABASE__URL": database_url, "COLUMNS": "200"}
        found = typed("check", **here)
        assert found.exit_code == 1, found.stderr
        assert "m1" in found.stdout
        assert "3600 s" in found.stdout
        assert "all" in found.stdout
        assert "m2" not in found.stdout

        assert typed("check", "m2", **here).exit_code == 0
        mended = typed("check", "--mend", **here)
        assert (mended.exit_code, "m1: mended" in mended.stderr) == (0, True), mended.stderr
        again = typed("check", **here)
        assert (again.exit_code, again.stdout) == (0, "")
        assert "2 models: the statistics are what the raw rows say" in again.stderr

    def test_a_model_that_is_not_there_is_named(self, database_url: str) -> None:
        refused = typed("check", "nowhere", ASSAY_DATABASE__URL=database_url)
        assert refused.exit_code == 1
        assert "there is no model nowhere" in refused.stderr
