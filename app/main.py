"""The application: settings in, FastAPI out. One line per service; no logic."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache, partial
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.routing import APIRoute
from opentelemetry.trace import Tracer

from app import __version__, api
from app.analytics.boards import Boards
from app.analytics.feed import Feed
from app.analytics.service import Analytics
from app.audit.service import AuditChain, AuditLog, sealing_keys
from app.auth.authenticate import Authenticator
from app.auth.endpoints import COOKIE, COOKIE_PATH, keys_router
from app.auth.guards import demand_guards
from app.auth.keyring import KeyRing, token_keys
from app.auth.keys import ApiKeys
from app.auth.limits import PrincipalLimits
from app.auth.passwords import Passwords
from app.auth.secret import derived, secrets_of, signing_secret
from app.auth.service import LogIns
from app.auth.tokens import Tokens
from app.auth.usage import KeyUsage
from app.auth.users import Users
from app.core import logs
from app.core.clock import Clock, SystemClock
from app.core.edge import Edge, Gate, Prepared, template_of
from app.core.health import Probed
from app.core.http import render_problems
from app.core.leaving import told_of_the_end
from app.core.limits import Limits
from app.core.routing import ShapedRouter, flat
from app.core.settings import Settings
from app.core.spans import NO_TRACER, identified
from app.core.tracing import NamedSpans, Tracing
from app.db.engine import Database
from app.db.safety import demand_safe
from app.db.traced import database_on
from app.idempotency.service import KEPT_ANSWERS, Claims
from app.jobs.feed import JobFeed
from app.jobs.health import JobsHealth
from app.jobs.service import Jobs
from app.lifecycle.service import LifecycleService
from app.models.catalogue import Catalogue
from app.models.service import ModelService
from app.system import docs, openapi
from app.system import endpoints as system
from app.system.health import Health
from app.system.life import Draining, Life, Looping
from app.system.probes import own_probes
from app.system.repository import DatabaseWatch
from app.system.schema import SchemaState
from app.tracking.erasing.service import Purges
from app.tracking.rollups.curves import Curves
from app.tracking.rollups.features import Features
from app.tracking.rollups.fold import Folder
from app.tracking.rollups.lag import LagWatch
from app.tracking.rollups.reading import Reading
from app.tracking.rollups.service import Recounts
from app.tracking.service import TrackingService
from app.web import endpoints as web
from app.web import problems
from app.web.assets import PREFIX, Assets

HEALTH = f"{api.PREFIX}/system/health"


def create_app(settings: Settings, *, clock: Clock | None = None, database: Database | None = None) -> FastAPI:
    """The service on `settings.database.url`. A `database` that is given is open already and stays so."""
    tracing = Tracing(settings.telemetry)
    logs.configure(settings.log, *([identified] if tracing.on else []))
    gate = Gate()
    opened = database or database_on(_url(settings), settings.database, tracing)
    built = services(settings, opened, clock or SystemClock(), tracing.tracer)
    built[Health] = Health(gate)
    app = FastAPI(
        title="Assay",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        telemetry=tracing.of_requests(),
    )
    prepared = _prepared(built[Health])
    app.router = router = ShapedRouter(
        lifespan=_lifespan(settings, gate, opened, built, tracing, owns_database=database is None),
        redirect_slashes=False,
        open_to_any={system.METRICS, *prepared},
    )
    app.state.services = built
    app.state.gate = gate
    app.state.openapi = cache(lambda: msgspec.json.encode(openapi.build(app)))
    render_problems(app)
    router.adopt(_operations())
    app.mount(PREFIX, Assets(), name="static")
    demand_guards(app.routes)
    templates = {id(route): route.path_format for route in app.routes if isinstance(route, APIRoute)}
    app.add_middleware(
        Edge,
        settings=settings.http,
        gate=gate,
        templates=templates,
        prepared=prepared,
        nameless=_nameless(settings),
        direct=router.direct,
        cookies={COOKIE_PATH: COOKIE},
    )
    if tracing.on:
        app.add_middleware(NamedSpans, route=partial(template_of, templates=templates))
    return app


def services(settings: Settings, database: Database, clock: Clock, tracer: Tracer = NO_TRACER) -> dict[type, Any]:
    """Every service, built once, filed by its type. Those with `run` work in the background (`Looping`), those with
    `health_probes` have a say in health (`Probed`)."""
    identity = _filed(*_identity(settings, database, clock))
    catalogue = Catalogue(database, settings.retention.days)
    folder = Folder(database, clock, interval_s=settings.tracking.fold_interval_s, tracer=tracer)
    reading = Reading(database, clock)
    curves = Curves(reading, clock)
    analytics = Analytics(catalogue, reading, curves, clock)
    return identity | _filed(
        settings,
        catalogue,
        ModelService(database, clock, catalogue),
        TrackingService(database, clock, catalogue, identity[PrincipalLimits], settings.tracking, stored=folder.wake),
        *((folder, Features(database, clock, catalogue)) if settings.tracking.fold else (LagWatch(database, clock),)),
        *_jobs(settings, database, clock, catalogue),
        reading,
        curves,
        LifecycleService(database, clock, catalogue, reading, curves),
        Claims(database, clock, *(derived(secret, KEPT_ANSWERS) for secret in secrets_of(settings))),
        AuditLog(database),
        AuditChain(database, clock, sealing_keys(settings)),
        analytics,
        Boards(analytics, reading, curves, clock),
        Feed(database, catalogue),
    )


def _jobs(settings: Settings, database: Database, clock: Clock, catalogue: Catalogue) -> tuple[Any, ...]:
    """Jobs as the API knows them, and what can be asked for as one; workers are other processes."""
    jobs = Jobs(database, clock)
    return (
        jobs,
        JobFeed(database, jobs),
        JobsHealth(database, settings.jobs.stalled_s),
        Recounts(catalogue, jobs),
        Purges(database, clock, catalogue, jobs),
    )


def _filed(*built: Any) -> dict[type, Any]:
    return {type(service): service for service in built}


def _identity(settings: Settings, database: Database, clock: Clock) -> tuple[Any, ...]:
    """The services of `auth`."""
    secret = signing_secret(settings)
    auth, url = settings.auth, settings.redis_url
    key, *retired = token_keys(settings)
    tokens = Tokens(
        key,
        issuer=auth.issuer,
        audience=auth.audience,
        expiry_s=auth.token_expiry,
        clock=clock,
        retired=retired,
    )
    limits = Limits(enabled=settings.limits.enabled, redis_url=None if url is None else url.get_secret_value())
    passwords = Passwords()
    usage = KeyUsage(database, clock)
    authenticator = Authenticator(database, tokens, usage, clock)
    successor_key = derived(secret, "refresh tokens")
    return (
        limits,
        PrincipalLimits(limits, settings.limits),
        KeyRing(database, tokens, clock),
        authenticator,
        usage,
        LogIns(database, tokens, passwords, authenticator, clock, successor_key=successor_key),
        Users(database, passwords, authenticator, clock),
        ApiKeys(database, authenticator, clock),
    )


@cache  # building them takes longer than everything else at the start; they hold nothing of one application
def _operations() -> tuple[APIRoute, ...]:
    return flat(api.router, keys_router, system.metrics_router, docs.router(PREFIX), problems.router, web.router)


def _lifespan(
    settings: Settings,
    gate: Gate,
    database: Database,
    built: dict[type, Any],
    tracing: Tracing,
    *,
    owns_database: bool,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        watch = DatabaseWatch(database.url)
        schema = SchemaState(watch)
        probes = [*own_probes(database, watch, schema, built[Limits])]
        for service in built.values():
            probes += service.health_probes() if isinstance(service, Probed) else ()
        loops = [service.run for service in built.values() if isinstance(service, Looping)]
        life = Life(
            gate=gate,
            health=built[Health],
            database=database,
            watch=watch,
            schema=schema,
            probes=probes,
            draining=[service for service in built.values() if isinstance(service, Draining)],
            owns_database=owns_database,
        )
        with told_of_the_end(gate.drain):  # readiness says so at once, while requests under way finish
            await life.begin(lambda: _prepare(built, database, settings), loops)
            yield
            await life.end(settings.http.drain_timeout_s)
        built[Limits].close()
        await tracing.close()

    return lifespan


async def _prepare(built: dict[type, Any], database: Database, settings: Settings) -> None:
    """What needs the database, before the first request."""
    await demand_safe(database, settings)
    await built[KeyRing].settle()
    await built[Users].ensure_first_admin(settings)


def _prepared(health: Health) -> dict[str, Callable[[], Prepared]]:
    return {HEALTH: health.public_report, f"{HEALTH}/live": health.liveness, f"{HEALTH}/ready": health.readiness}


def _nameless(settings: Settings) -> frozenset[str]:
    """Prometheus asks each process by its address. Its token guards what it reads; without one a page of somebody
    else's, to whose name this machine's address was given, could read it."""
    return frozenset() if settings.metrics.token is None else frozenset({system.METRICS})


def _url(settings: Settings) -> str:
    if settings.database.url is None:
        raise ValueError("settings.database.url is unset: start an embedded server first and hand its URL over")
    return settings.database.url.get_secret_value()
