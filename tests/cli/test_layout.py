"""Columns of people's files are recognised by their names, or told."""

import pytest

from app.cli.importing.errors import FileProblem
from app.cli.importing.layout import Layout, Rows, Told, recognise

NOTHING = Told()


def predictions(*names: str, told: Told = NOTHING) -> Layout:
    return recognise(Rows.PREDICTIONS, names, told, "scored.csv")


def labels(*names: str, told: Told = NOTHING) -> Layout:
    return recognise(Rows.LABELS, names, told, "outcomes.csv")


class TestRecognition:
    @pytest.mark.parametrize(
        ("names", "fields"),
        [
            (("prediction_id", "timestamp", "score"), {"prediction_id", "timestamp", "score"}),  # the API's own names
            (("inference_id", "ts", "probability"), {"prediction_id", "timestamp", "score"}),  # other people's
            (("ID", "Event Time", "Score"), {"prediction_id", "timestamp", "score"}),  # a spreadsheet's
            (("id", "model_version", "y_pred"), {"prediction_id", "version", "predicted"}),
        ],
    )
    def test_knows_the_usual_names(self, names: tuple[str, ...], fields: set[str]) -> None:
        found = predictions(*names)
        assert set(found.fields) == fields
        assert set(found.fields.values()) == set(names)

    def test_prefers_the_likelier_of_two_names(self) -> None:
        found = predictions("id", "prediction_id", "score")
        assert found.fields["prediction_id"] == "prediction_id"
        assert found.features == {"id": "id"}

    def test_takes_every_other_column_for_a_feature(self) -> None:
        found = predictions("prediction_id", "score", "amount", "feature.country")
        assert found.features == {"amount": "amount", "country": "feature.country"}

    def test_finds_scores_of_classes_and_segments_by_their_prefix(self) -> None:
        found = predictions("id", "score_cat", "score_dog", "segment.channel", "weight")
        assert found.scores == {"cat": "score_cat", "dog": "score_dog"}
        assert found.segments == {"channel": "segment.channel"}
        assert found.features == {"weight": "weight"}

    def test_labels_need_an_id_and_the_truth(self) -> None:
        assert labels("id", "label", "time").fields == {"prediction_id": "id", "actual": "label", "timestamp": "time"}
        with pytest.raises(FileProblem, match="no column is the actual; columns: id, verdict"):
            labels("id", "verdict")

    @pytest.mark.parametrize(
        ("rows", "names", "mend"),
        [
            (Rows.PREDICTIONS, ("id", "p_fraud"), "--column score=p_fraud"),
            (Rows.PREDICTIONS, ("key", "score"), "--column prediction_id=COLUMN"),
            (Rows.LABELS, ("id", "verdict"), "--column actual=COLUMN"),
        ],
    )
    def test_what_is_not_recognised_is_refused_with_the_option_that_names_it(
        self, rows: Rows, names: tuple[str, ...], mend: str
    ) -> None:
        with pytest.raises(FileProblem, match=mend):
            recognise(rows, names, NOTHING, "a.csv")


class TestTold:
    def test_options_win_over_names(self) -> None:
        told = Told({"score": "p_fraud"}, segments=("country",), features=("amount",), ignored=("note",))
        found = predictions("id", "score", "p_fraud", "country", "amount", "note", told=told)
        assert found.fields["score"] == "p_fraud"
        assert found.segments == {"country": "country"}
        assert found.features == {"amount": "amount"}

    def test_an_ignored_column_is_nothing(self) -> None:
        assert predictions("id", "score", "note", told=Told(ignored=("note",))).features == {}

    def test_a_name_that_is_not_there_is_refused_with_those_that_are(self) -> None:
        with pytest.raises(FileProblem, match="no column 'p'; columns: id, score"):
            predictions("id", "score", told=Told({"score": "p"}))
