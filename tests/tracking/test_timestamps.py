"""RFC 3339 text to microseconds: the array road must say what single reads say, and these what `datetime` says."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.clock import from_datetime
from app.tracking.decoding.timestamps import FEW, parse, parse_one

OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC) | OFFSETS)  # noqa: DTZ001


class TestOneTime:
    @given(MOMENTS)
    def test_reads_what_python_writes(self, moment):
        assert parse_one(moment.isoformat()) == from_datetime(moment)

    @pytest.mark.parametrize(
        ("text", "same"),
        [
            ("2026-01-01t00:00:00z", "2026-01-01T00:00:00Z"),  # RFC 3339 allows lower case
            ("2026-01-01T00:00:00-00:00", "2026-01-01T00:00:00Z"),  # "offset unknown"
            ("2026-01-01T00:00:00.1234567Z", "2026-01-01T00:00:00.123456Z"),  # cut off, not rounded
            ("2026-01-01T00:00:00.999999999Z", "2026-01-01T00:00:00.999999Z"),
            ("2026-01-01T05:30:00+05:30", "2026-01-01T00:00:00Z"),
        ],
    )
    def test_reads_all_that_the_standard_allows(self, text, same):
        expected = parse_one(same)
        assert expected is not None
        assert parse_one(text) == expected
        assert parse([text] * FEW)[0].tolist() == [expected] * FEW

    @pytest.mark.parametrize(
        "text",
        [
            "2026-01-01",  # a date
            "2026-01-01T00:00:00",  # no zone: nobody knows when
            "2026-01-01 00:00:00Z",  # a blank for the T
            "20260101T000000Z",  # ISO 8601, not RFC 3339
            "2026-W01-1T00:00:00Z",
            "2026-02-29T00:00:00Z",  # not a leap year
            "2026-13-01T00:00:00Z",
            "2026-00-10T00:00:00Z",
            "2026-01-32T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T23:59:60Z",  # a leap second: no instant of ours
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+05:60",
            "2026-01-01T00:00:00+0530",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z",
            "0000-01-01T00:00:00Z",
            "２０２６-01-01T00:00:00Z",  # digits, but not ASCII
            "2026-01-01T00:00:00Z\n",
            "1767225600",
            "",
            "Z" * 30,
        ],
    )
    def test_refuses_everything_else_alone_and_among_others(self, text):
        assert parse_one(text) is None
        good = "2026-01-01T00:00:00Z"
        assert parse([good] * FEW + [text])[1] == [FEW]
        assert parse([text] * FEW)[1] == list(range(FEW))


class TestAColumn:
    @given(st.lists(MOMENTS, min_size=FEW, max_size=FEW * 3))
    @settings(max_examples=50, deadline=None)
    def test_reads_any_mixture_as_python_does(self, moments):
        times, unread = parse([moment.isoformat() for moment in moments])
        assert unread == []
        assert times.tolist() == [from_datetime(moment) for moment in moments]

    @pytest.mark.parametrize("form", ["seconds", "milliseconds", "microseconds"])
    @given(day=MOMENTS, seconds=st.lists(st.integers(0, 86_399), min_size=FEW, max_size=FEW * 2))
    @settings(max_examples=30, deadline=None)
    def test_reads_one_day_in_one_form(self, form, day, seconds):
        unit = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1}[form]
        midnight = day.replace(hour=0, minute=0, second=0, microsecond=day.microsecond // unit * unit)
        moments = [midnight + timedelta(seconds=second) for second in seconds]
        times, unread = parse([moment.isoformat(timespec=form) for moment in moments])
        assert unread == []
        assert times.tolist() == [from_datetime(moment) for moment in moments]

    @given(
        st.lists(st.text("0123456789-:.TZtz+ ", max_size=33) | MOMENTS.map(datetime.isoformat), min_size=1, max_size=80)
    )
    @settings(max_examples=150, deadline=None)
    def test_a_column_is_read_like_its_rows(self, texts):
        times, unread = parse(texts)
        alone = [parse_one(text) for text in texts]
        assert unread == [row for row, time in enumerate(alone) if time is None]
        assert times.tolist() == [time or 0 for time in alone]
