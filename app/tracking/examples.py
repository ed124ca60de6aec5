"""What the documentation says of the bodies of ingest: every form, with an example."""

from typing import Any

from app.tracking.decoding.decode import ARROW, JSON, NDJSON

Schema = dict[str, Any]

PREDICTION: Schema = {
    "prediction_id": "order-1001",
    "timestamp": "2026-01-01T00:00:00Z",
    "score": 0.91,
    "predicted": "1",
    "features": {"amount": 12.5, "country": "DE"},
    "segment": {"channel": "web"},
}
LABEL: Schema = {"prediction_id": "order-1001", "actual": "1", "timestamp": "2026-01-03T00:00:00Z"}

PREDICTION_SEEN: Schema = {
    "model_id": "fraud_model_v2.0",
    "prediction_id": "order-1001",
    "timestamp": "2026-01-01T00:00:00Z",
    "known_at": "2026-01-01T00:00:01.250000Z",
    "version": "1",
    "predicted": "1",
    "score": 0.91,
    "scores": None,
    "features": {"amount": 12.5, "country": "DE"},
    "segment": {"channel": "web"},
    "labels": [
        {
            "actual": "1",
            "timestamp": "2026-01-03T00:00:00Z",
            "arrived_at": "2026-01-03T06:00:00Z",
            "known_at": "2026-01-03T06:00:00Z",
            "correction": False,
        }
    ],
    "waiting": None,
}
SEGMENTS: Schema = {"model_id": "fraud_model_v2.0", "segments": [{"key": "channel", "values": ["web", "app"]}]}

_NUMBER_OR_TEXT = {"type": ["number", "string", "boolean"]}
_VALUES: Schema = {"type": ["number", "string", "boolean", "null"]}
_ID = {"type": "string", "minLength": 1, "maxLength": 128, "description": "unique in the model; `inference_id` too"}
_TIME = {"type": "string", "format": "date-time"}

FIELDS: dict[str, dict[str, Schema]] = {
    "predictions": {
        "prediction_id": _ID,
        "timestamp": _TIME | {"description": "when it was made; default: the receipt"},
        "version": {"type": ["string", "integer"], "description": "default: the champion, else the latest"},
        "predicted": _NUMBER_OR_TEXT | {"description": "may be left out where the score decides it"},
        "score": {"type": "number", "description": "P(positive class), or the predicted value of a regression"},
        "scores": {
            "type": "object",
            "additionalProperties": {"type": "number"},
            "description": "multiclass: by class, summing to 1",
        },
        "features": {"type": "object", "additionalProperties": _VALUES},
        "segment": {"type": "object", "additionalProperties": _NUMBER_OR_TEXT, "maxProperties": 8},
        "subject": {"type": "string", "description": "whom it is about; kept as a keyed hash, for erasure"},
    },
    "labels": {
        "prediction_id": _ID,
        "actual": _NUMBER_OR_TEXT | {"description": "the class, or the value of a regression"},
        "timestamp": _TIME | {"description": "when the truth was established; default: the receipt"},
        "correction": {"type": "boolean", "description": "whether it may replace another value"},
    },
}
REQUIRED = {"predictions": ["prediction_id"], "labels": ["prediction_id", "actual"]}
_CALLED = {"predictions": "Prediction", "labels": "Label"}


def body(noun: str, row: Schema) -> Schema:
    """OpenAPI's `requestBody` for rows of `noun`, of which `row` is one; `SCHEMAS` has what it refers to."""
    return {
        "required": True,
        "description": "At most 16 MiB. The column form and Arrow are two to five times as fast as rows. "
        "Of a key that an object repeats the last value counts.",
        "content": {
            JSON: {
                "schema": {"oneOf": [_reference(f"{_CALLED[noun]}Rows"), _reference(f"{_CALLED[noun]}Columns")]},
                "examples": {
                    "rows": {"summary": "a list of rows", "value": {noun: [row]}},
                    "columns": {"summary": "a list per column", "value": {"columns": _turned(row)}},
                },
            },
            NDJSON: {
                "schema": {"type": "string", "format": "binary"},
                "example": "one row a line, each as in the list of rows",
            },
            ARROW: {
                "schema": {"type": "string", "format": "binary"},
                "example": "an IPC stream with these columns; features, segment and scores are structs, "
                "timestamps have a time zone",
            },
        },
    }


def _schemas(noun: str) -> dict[str, Schema]:
    """The named forms of a body: what generated clients call them."""
    called = _CALLED[noun]
    return {
        f"{called}Row": {"type": "object", "properties": FIELDS[noun], "required": REQUIRED[noun]},
        f"{called}Rows": _form(noun, {"type": "array", "items": _reference(f"{called}Row")}),
        f"{called}Columns": _form("columns", _columns(noun)),
    }


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _form(name: str, schema: Schema) -> Schema:
    importing = {"type": "boolean", "default": False, "description": "needs the scope `data:import`"}
    version = {"type": ["string", "integer"], "description": "of the rows that name none"}
    return {"type": "object", "required": [name], "properties": {name: schema, "import": importing, "version": version}}


def _columns(noun: str) -> Schema:
    """A list in place of each value; the members of objects have a list each."""
    turned = {
        name: {"type": "object", "additionalProperties": {"type": "array", "items": _VALUES}}
        if field.get("type") == "object"
        else {"type": "array", "items": field}
        for name, field in FIELDS[noun].items()
    }
    return {"type": "object", "properties": turned, "required": REQUIRED[noun]}


def _turned(row: Schema) -> Schema:
    return {name: _turned(value) if isinstance(value, dict) else [value] for name, value in row.items()}


SCHEMAS: dict[str, Schema] = _schemas("predictions") | _schemas("labels")
