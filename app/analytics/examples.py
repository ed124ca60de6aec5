"""An answer of each kind, as the documentation shows it: three days of one small model. A test checks their types."""

from typing import Any

_OVERALL: dict[str, Any] = {
    "n": 240,
    "labelled": 240,
    "label_coverage": 1.0,
    "value": 0.9208,
    "ci_low": 0.8797,
    "ci_high": 0.9487,
    "anytime_low": 0.8469,
    "anytime_high": 0.9674,
    "method": "wilson",
    "anytime_method": "beta-mixture",
    "assumption": "labels are independent draws",
    "error_bound": None,
}
_DELAY: dict[str, Any] = {"median_s": 85309.0, "p99_s": 92534.0, "expected": 1.0}
_META: dict[str, Any] = {
    "method": "clopper-pearson",
    "assumption": "labels are independent draws",
    "validity": "bands of points are fixed-n: each holds for one look at one point; the overall result also has "
    "an interval that holds at any time (anytime_low, anytime_high)",
    "note": "Share of labelled predictions whose class was right.",
    "buckets": "only buckets that hold predictions",
    "direction": "higher",
}
_MODELS: list[dict[str, Any]] = [
    {
        "model_id": "fraud",
        "version": "1",
        "task": "binary",
        "n": 240,
        "labelled": 240,
        "label_coverage": 1.0,
        "metrics": {
            "accuracy": {
                "value": 0.9208,
                "ci_low": 0.8797,
                "ci_high": 0.9487,
                "n": 240,
                "method": "wilson",
                "error_bound": None,
            }
        },
    }
]
TREND: dict[str, Any] = {
    "model_id": "fraud",
    "metric": "accuracy",
    "interval": "day",
    "version": None,
    "segment": None,
    "as_of": "2026-03-02T12:00:00Z",
    "level": 0.95,
    "points": [
        {
            "bucket": "2026-02-27T00:00:00Z",
            "n": 60,
            "labelled": 60,
            "label_coverage": 1.0,
            "maturity": "final",
            "value": 1.0,
            "ci_low": 0.9404,
            "ci_high": 1.0,
            "error_bound": None,
            "estimated": None,
        },
        {
            "bucket": "2026-02-28T00:00:00Z",
            "n": 120,
            "labelled": 120,
            "label_coverage": 1.0,
            "maturity": "final",
            "value": 0.8417,
            "ci_low": 0.7638,
            "ci_high": 0.9019,
            "error_bound": None,
            "estimated": None,
        },
        {
            "bucket": "2026-03-01T00:00:00Z",
            "n": 60,
            "labelled": 60,
            "label_coverage": 1.0,
            "maturity": "final",
            "value": 1.0,
            "ci_low": 0.9404,
            "ci_high": 1.0,
            "error_bound": None,
            "estimated": None,
        },
    ],
} | {"overall": _OVERALL, "delay": _DELAY, "meta": _META}
SUMMARY: dict[str, Any] = {
    "models": _MODELS,
    "as_of": "2026-03-02T12:00:00Z",
    "level": 0.95,
    "meta": {
        "method": "named at each value",
        "assumption": "labels are independent draws",
        "validity": "fixed-n: each interval holds for one look; the trend of a model also gives one that holds at any "
        "time",
        "note": "all labels that have come, mature or not",
        "buckets": "the whole window",
        "direction": "see the trend of a metric",
    },
}
_PANEL: dict[str, Any] = {
    "model_id": "fraud",
    "task": "binary",
    "default_version": "1",
    "metric": "accuracy",
    "interval": "day",
    "range": "7d",
    "version": None,
    "segment": None,
    "level": 0.95,
    "columns": {
        "x": [1772150400, 1772236800, 1772323200],
        "n": [60, 120, 60],
        "labelled": [60, 120, 60],
        "value": [1.0, 0.8417, 1.0],
        "low": [0.9404, 0.7638, 0.9404],
        "high": [1.0, 0.9019, 1.0],
        "maturity": [2, 2, 2],
    },
    "segments": [
        {
            "name": "channel:web",
            "n": 240,
            "labelled": 240,
            "label_coverage": 1.0,
            "value": 0.9208,
            "ci_low": 0.8797,
            "ci_high": 0.9487,
        }
    ],
    "versions": [
        {
            "name": "1",
            "n": 240,
            "labelled": 240,
            "label_coverage": 1.0,
            "value": 0.9208,
            "ci_low": 0.8797,
            "ci_high": 0.9487,
        }
    ],
    "choices": {"metrics": ["accuracy", "f1", "roc_auc"], "versions": ["1"], "segments": ["channel:web"]},
} | {
    "overall": _OVERALL,
    "delay": _DELAY,
    "meta": _META | {"buckets": "every bucket from the first to the last, also empty ones"},
}
BOARD: dict[str, Any] = {"models": _MODELS, "panel": _PANEL, "as_of": "2026-03-02T12:00:00Z", "level": 0.95}
