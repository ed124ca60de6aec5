"""A model that learns classes while it serves: counts never change their meaning, and a rebuild agrees bit for bit."""

from app.core.clock import FrozenClock
from app.db.engine import Database
from app.models.catalogue import Catalogue
from tests.support.models import make_model
from tests.support.tracking import agree, label, send, tracking


class TestAModelThatLearnsClasses:
    async def test_scores_count_for_the_classes_of_their_time_alone(
        self, database: Database, clock: FrozenClock
    ) -> None:
        await make_model(database, task="multiclass", allow_new_classes=True)
        service = tracking(database, clock)
        facts = await Catalogue(database).facts("m1")
        early = dict(zip(facts.classes, (0.2, 0.3, 0.5), strict=True))
        await send(service, *({"prediction_id": f"early{n}", "scores": early} for n in range(6)))
        await label(service, {"prediction_id": "early0", "actual": facts.classes[0]})
        await label(service, {"prediction_id": "early1", "actual": "yak"}, {"prediction_id": "early2", "actual": "emu"})
        late = early | {"yak": 0.0, "emu": 0.0}
        await send(service, *({"prediction_id": f"late{n}", "scores": late} for n in range(4)))
        clock.advance(seconds=60)
        await label(service, {"prediction_id": "early0", "actual": "yak", "correction": True})
        await label(service, {"prediction_id": "early3", "actual": facts.classes[2]})
        await label(service, {"prediction_id": "late0", "actual": "emu"}, {"prediction_id": "late1", "actual": "yak"})
        grown = await Catalogue(database).facts("m1")
        assert grown.classes[3:] == ("yak", "emu")
        await agree(database, grown)
