"""A small group of predictions in one statement, which is its own transaction: one round trip instead of five."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from app.core.clock import to_datetime
from app.tracking.repository.arrivals import PREDICTIONS
from app.tracking.repository.predictions import KeyTaken

_STORE = "select store_predictions($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"


class Erased(Exception):  # noqa: N818  not an error: it says which road to take
    """Rows of the model were erased once; nothing was stored."""


async def store(
    connection: Any,
    model_no: int,
    *,
    minute_us: int,
    keys: Sequence[bytes],
    columns: Sequence[Sequence[Any]],
    form: int,
    body: bytes,
    delta: bytes,
) -> bool:
    """Stores the rows, their block and their delta, durable when this returns; False: it was another minute.

    `columns`: number in the block, content, predicted_at (us), score, context_id, predicted and scores (bytes or None),
    in the order of `keys`, which is key order. The delta has to be counted for `minute_us`; where the database's clock
    stands in another minute nothing is stored. Raises `KeyTaken` or `Erased`: nothing is stored then either.
    """
    try:
        return bool(
            await connection.fetchval(
                _STORE, to_datetime(minute_us), model_no, keys, *columns, form, body, PREDICTIONS, delta
            )
        )
    except asyncpg.UniqueViolationError:
        raise KeyTaken from None
    except asyncpg.RaiseError:
        raise Erased from None
