"""A life of each kind of thing, by every operation that changes something; each step on what the one before it left."""

from datetime import UTC, datetime
from hashlib import sha256

from tests.faults.changes import Effect, Writer
from tests.support.http import bearer

FIRST, SECOND = "a-first-password-of-it", "a-second-password-of-it"
NOTHING = Effect("select 0")


async def person(writer: Writer) -> None:
    email = f"{writer.new()}@example.com"
    body = {"email": email, "password": FIRST, "role": "viewer"}
    made = await writer.change(
        "POST /users", "user.create", _how_many("users where email = $1", email), once=True, json=body
    )
    user = made.json()["id"]

    async def become(changed: Effect, **change: object) -> None:
        await writer.change("PATCH /users/{user_id}", "user.change", changed, {"user_id": user}, json=change)

    await become(_how_many("users where id = $1 and role = 'team_lead'", user), role="team_lead")
    passwords = "select token_version - 2 from users where id = $1"  # the first is 1, the new role made it 2
    await become(Effect(passwords, (user,)), password=SECOND)
    form = {"username": email, "password": SECOND}
    log_ins = _how_many("log_in where user_id = $1", user)
    granted = (await writer.change("POST /auth/token", "log-in.begin", log_ins, data=form)).json()
    digest = sha256(granted["refresh_token"].encode()).digest()
    of_the_token = "(select log_in_id from refresh_token where digest = $1)"
    family = f"refresh_token join log_in on id = log_in_id where log_in_id = {of_the_token}"
    await writer.change(
        "POST /auth/refresh",
        "log-in.refresh",
        _how_many(f"{family} and used_at is not null", digest),
        json={"refresh_token": granted["refresh_token"]},
    )
    await writer.change(
        "POST /auth/logout",
        "log-in.end",
        _how_many(f"{family} and digest = $1 and revoked_at is not null", digest),
        headers=bearer(granted["access_token"]),
    )
    await become(_how_many("users where id = $1 and disabled_at is not null", user), disabled=True)


async def key(writer: Writer) -> None:
    name = writer.new()
    body = {"name": name, "scopes": ["models:read"]}
    made = await writer.change(
        "POST /api-keys", "api-key.create", _how_many("api_key where name = $1", name), once=True, json=body
    )
    number = made.json()["id"]
    revoked = _how_many("api_key where id = $1 and revoked_at is not null", number)
    await writer.change("DELETE /api-keys/{key_id}", "api-key.revoke", revoked, {"key_id": number})


async def model(writer: Writer) -> None:
    name = writer.new()
    mine = {"model_id": name}
    await _born(writer, mine)
    await _named_and_moved(writer, mine)
    await _imported(writer, mine)
    await _counted_again(writer, mine)
    archived = _how_many("model where model_id = $1 and archived_at is not null", name)
    await writer.change("DELETE /models/{model_id}", "model.archive", archived, mine)
    purges = _how_many("job where model_id = $1 and kind = 'purge'", name)
    await writer.change("POST /models/{model_id}/purge", "job.begin", purges, mine, json={"everything_of": name})


async def _born(writer: Writer, mine: dict[str, str]) -> None:
    name = mine["model_id"]
    info = {"model_id": name, "model_type": "x", "version": "1", "training_data_hash": "a"}
    await writer.change(
        "POST /models/{model_id}/tracking/setup",
        "model.set-up",
        _how_many("model where model_id = $1", name),
        mine,
        once=True,
        json={"model_info": info},
    )
    second = _how_many("model_version v join model m on m.id = model_no where model_id = $1 and version = '2'", name)
    await writer.change(
        "POST /models/{model_id}/versions", "version.register", second, mine, once=True, json={"version": "2"}
    )


async def _named_and_moved(writer: Writer, mine: dict[str, str]) -> None:
    name = mine["model_id"]
    aliased = "model_alias join model m on m.id = model_no where model_id = $1 and alias = $2"
    for alias, stays in (("stays", True), ("goes", False)):
        await writer.change(
            "PUT /models/{model_id}/aliases/{alias}",
            "alias.point",
            _how_many(aliased, name, alias) if stays else None,
            {**mine, "alias": alias},
            json={"version": "1"},
        )
    await writer.change(
        "DELETE /models/{model_id}/aliases/{alias}",
        "alias.remove",
        Effect(f"select 1 - count(*) from {aliased}", (name, "goes")),
        {**mine, "alias": "goes"},
    )
    tag = (await writer.look(f"/models/{name}/lifecycle/status")).headers["etag"]
    moves = _how_many(
        "version_move v join model m on m.id = model_no where model_id = $1 and to_state = 'training'", name
    )
    await writer.change(
        "PUT /models/{model_id}/lifecycle/update",
        "version.move",
        moves,
        mine,
        headers={"If-Match": tag},
        json={"target_state": "training", "reason": "new quarter"},
    )


async def _imported(writer: Writer, mine: dict[str, str]) -> None:
    """The audit announces an import before its rows come: nothing to count, and a row of its own for each attempt."""
    at = datetime.now(UTC).isoformat()
    for rows, row in (("predictions", {"score": 0.5}), ("labels", {"actual": "1"})):
        body = {rows: [{"prediction_id": "p", "timestamp": at, **row}], "import": True}
        await writer.change(f"POST /models/{{model_id}}/{rows}", "data.import", None, mine, json=body)


async def _counted_again(writer: Writer, mine: dict[str, str]) -> None:
    operation = "POST /models/{model_id}/recount"
    recounts = _how_many("job where model_id = $1 and kind = 'rollups.recount'", mine["model_id"])
    begun = await writer.change(operation, "job.begin", recounts, mine, json={})
    await writer.change(operation, "job.begin", NOTHING, mine, json={})  # the one that is under way is given again
    job = int(begun.json()["job_id"])
    cancelled = _how_many("job where id = $1 and status = 'cancelled'", job)
    await writer.change("DELETE /jobs/{job_id}", "job.cancel", cancelled, {"job_id": job})


def _how_many(of: str, *about: object) -> Effect:
    return Effect(f"select count(*) from {of}", about)
