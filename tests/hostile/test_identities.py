"""Random lives of people and keys beside a plain picture of who may do what: after every step each credential that was
ever given out opens exactly what it should (G12, G14)."""

import itertools
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from app.auth.scopes import KEY_SCOPES, SCOPES_OF, Role
from tests.hostile.cases import Caller
from tests.hostile.sequences import Sequence, run
from tests.house.test_routes import ENDLESS, GUARDED, LOG_OUT, address
from tests.support.counts import Counts, forms
from tests.support.served import ServedProduct

ROLES = st.sampled_from(Role)
PICK = st.integers(0, 1 << 16)  # which of those that are there
SCOPES = st.sets(st.sampled_from(sorted(KEY_SCOPES)), min_size=1)
OPERATIONS = [
    (method, path, guard.scope) for method, path, guard in GUARDED if path != LOG_OUT and not path.endswith(ENDLESS)
]
_people = itertools.count()


@dataclass
class Person:
    number: int
    email: str
    password: str
    role: Role
    disabled: bool = False
    version: int = 0  # of the role and the password: what an access token was given for


@dataclass
class LogIn:
    person: Person
    refresh: list[str]  # the last one is the one to use
    open: bool = True


@dataclass
class Credential:
    """What is sent as `Authorization`, and what it should open."""

    text: str
    log_in: LogIn | None = None
    version: int = 0
    scopes: frozenset[str] = field(default_factory=frozenset)
    model: str | None = None
    revoked: bool = False

    @property
    def valid(self) -> bool:
        if self.log_in is None:
            return not self.revoked
        return self.log_in.open and self.log_in.person.version == self.version

    def opens(self, scope: str | None) -> bool:
        granted = self.scopes if self.log_in is None else SCOPES_OF[self.log_in.person.role]
        return scope is None or scope in granted


class Identities(Sequence):
    def __init__(self) -> None:
        super().__init__()
        self.people: list[Person] = []
        self.log_ins: list[LogIn] = []
        self.credentials: list[Credential] = []
        self.keys: dict[str, Credential] = {}
        self.operations = itertools.cycle(OPERATIONS)  # every credential meets another one at every step
        self.models = itertools.cycle(["mine", "theirs", "nowhere"])

    @initialize(role=ROLES)
    def begin(self, role: Role) -> None:
        self.add_person(role)
        self.log_in(0)

    @rule(role=ROLES)
    def add_person(self, role: Role) -> None:
        email, password = f"life-{next(_people)}@example.com", "a-password-of-a-life"
        answer = self.ask("POST", "/users", json={"email": email, "password": password, "role": role})
        assert answer.status_code == 201
        self.people.append(Person(answer.json()["id"], email, password, role))

    @rule(pick=PICK)
    def log_in(self, pick: int) -> None:
        person = self.people[pick % len(self.people)]
        answer = self._anonymous("/api/v1/auth/token", data={"username": person.email, "password": person.password})
        assert answer.status_code == (401 if person.disabled else 200)
        if not person.disabled:
            self.log_ins.append(LogIn(person, []))
            self._granted(self.log_ins[-1], answer)

    @precondition(lambda self: self.log_ins)
    @rule(pick=PICK)
    def refresh(self, pick: int) -> None:
        log_in = self.log_ins[pick % len(self.log_ins)]
        answer = self._anonymous("/api/v1/auth/refresh", json={"refresh_token": log_in.refresh[-1]})
        assert answer.status_code == (200 if log_in.open else 401)
        if log_in.open:
            self._granted(log_in, answer)

    @precondition(lambda self: any(len(log_in.refresh) > 1 for log_in in self.log_ins))
    @rule(pick=PICK)
    def reuse(self, pick: int) -> None:
        """By another client: it ends the log-in at once."""
        used = [(log_in, token) for log_in in self.log_ins for token in log_in.refresh[:-1]]
        log_in, token = used[pick % len(used)]
        answer = self._anonymous(
            "/api/v1/auth/refresh", json={"refresh_token": token}, headers={"User-Agent": "another"}
        )
        assert answer.status_code == 401
        log_in.open = False
        for credential in self.credentials:
            if credential.log_in is log_in:
                assert self._with(credential, "GET", "/api/v1/auth/me").status_code == 401

    @precondition(lambda self: self.credentials)
    @rule(pick=PICK)
    def log_out(self, pick: int) -> None:
        credential = self.credentials[pick % len(self.credentials)]
        answer = self._with(credential, "POST", LOG_OUT)
        kept = 204 if credential.log_in is not None else 409  # a key has no log-in to end
        assert answer.status_code == (kept if credential.valid else 401)
        if credential.valid and credential.log_in is not None:
            credential.log_in.open = False

    @rule(pick=PICK, role=ROLES)
    def change_role(self, pick: int, role: Role) -> None:
        person = self.people[pick % len(self.people)]
        self._change(person, role=role)
        if role != person.role:
            person.role = role
            person.version += 1

    @rule(pick=PICK)
    def change_password(self, pick: int) -> None:
        person = self.people[pick % len(self.people)]
        person.password += "+"
        self._change(person, password=person.password)
        person.version += 1
        self._end_all(person)

    @rule(pick=PICK, disabled=st.booleans())
    def disable(self, pick: int, disabled: bool) -> None:
        person = self.people[pick % len(self.people)]
        self._change(person, disabled=disabled)
        person.disabled = disabled
        if disabled:
            self._end_all(person)

    @rule(scopes=SCOPES, model=st.sampled_from([None, "mine"]))
    def make_key(self, scopes: set[str], model: str | None) -> None:
        limited = {} if model is None else {"models": [model]}
        answer = self.ask("POST", "/api-keys", json={"name": "life", "scopes": sorted(scopes), **limited})
        assert answer.status_code == 201
        made = answer.json()
        self.keys[made["id"]] = Credential(made["key"], scopes=frozenset(scopes), model=model)
        self.credentials.append(self.keys[made["id"]])

    @precondition(lambda self: self.keys)
    @rule(pick=PICK)
    def revoke_key(self, pick: int) -> None:
        name = [*self.keys][pick % len(self.keys)]
        assert self.ask("DELETE", f"/api-keys/{name}").status_code in {204, 404}
        self.keys[name].revoked = True

    @invariant()
    def each_credential_opens_what_it_should(self) -> None:
        """Names in the addresses are nowhere, so whoever is let in finds nothing there."""
        for credential in self.credentials:
            method, path, scope = next(self.operations)
            model = next(self.models)
            answer = self._with(credential, method, address(path, model).removeprefix("http://test"))
            if not credential.valid:
                assert answer.status_code == HTTPStatus.UNAUTHORIZED
            elif not credential.opens(scope):
                assert answer.status_code == HTTPStatus.FORBIDDEN
            elif "{model_id}" in path and credential.model not in {None, model}:
                assert answer.status_code == HTTPStatus.NOT_FOUND
            else:
                assert answer.status_code not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}

    def _anonymous(self, path: str, **options: object) -> httpx.Response:
        return self._sent(None, "POST", path, **options)

    def _with(self, credential: Credential, method: str, path: str) -> httpx.Response:
        return self._sent(credential.text, method, path)

    def _sent(self, credential: str | None, method: str, path: str, **options: object) -> httpx.Response:
        given = options.pop("headers", {})
        assert isinstance(given, dict)
        own = {"Authorization": f"Bearer {credential}"} if credential else {"Authorization": ""}
        return self.ask(method, str(self.client.base_url.join(path)), headers={**own, **given}, **options)

    def _granted(self, log_in: LogIn, answer: httpx.Response) -> None:
        told = answer.json()
        assert set(told["scope"].split()) == SCOPES_OF[log_in.person.role]
        log_in.refresh.append(told["refresh_token"])
        self.credentials.append(Credential(told["access_token"], log_in, log_in.person.version))

    def _change(self, person: Person, **change: object) -> None:
        assert self.ask("PATCH", f"/users/{person.number}", json=change).status_code == 200

    def _end_all(self, person: Person) -> None:
        for log_in in self.log_ins:
            if log_in.person is person:
                log_in.open = False


@pytest.mark.fault("G12", "G14")
class TestIdentities:
    @forms(smoke=(1, 6, 20), long=(4, 25, 40))
    def test_every_credential_opens_what_it_should(
        self, product: ServedProduct, caller: Caller, counts: Counts, size: tuple[int, int, int]
    ) -> None:
        run(Identities, product.url, caller.token.decode(), counts, size)
