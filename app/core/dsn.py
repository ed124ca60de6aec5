"""Where the database is: what `ASSAY_DATABASE__URL` says, in one form that both drivers read alike.

asyncpg and libpq differ on what they take from a URL and on which of two statements wins, so they are given the URL as
it is written here from its parts. Only what both of them do is let through.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

NAME = "ASSAY_DATABASE__URL"
ENGINE = "postgresql+asyncpg://"  # all that SQLAlchemy is told: connections are made for it
_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
_PORT = "5432"
_TLS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_VALUES: Mapping[str, tuple[str, ...]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": _TLS,
    "ssl_max_protocol_version": _TLS,
    "target_session_attrs": ("any", "read-write", "primary"),  # one that can't be written to is of no use
}
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
_OTHERS = ("connect_timeout", "application_name", "options", "sslpassword")
_TAKEN = (*_VALUES, *_FILES, *_OTHERS)
_INSTEAD = {
    "ssl": "say sslmode=require",
    "database": "it is the path: postgresql://user:password@host/name",
    "channel_binding": "leave it out, sslmode=verify-full with sslrootcert keeps others out of the middle",
}


@dataclass(frozen=True, slots=True)
class Place:
    """One server's address; a host that begins with a slash is the folder of a socket."""

    host: str
    port: str

    def __str__(self) -> str:
        if self.host.startswith("/"):
            return f"the socket in {self.host}"
        port = self.port or os.environ.get("PGPORT") or _PORT
        return f"{self._bracketed(self.host) or os.environ.get('PGHOST') or 'this machine'}:{port}"

    @property
    def quoted(self) -> str:
        host = self._bracketed(self.host) if ":" in self.host else quote(self.host, safe="")
        return f"{host}:{self.port}" if host and self.port else host

    @staticmethod
    def _bracketed(host: str) -> str:
        return f"[{host}]" if ":" in host else host


@dataclass(frozen=True, slots=True)
class Dsn:
    """What to hand to a driver; `str()` of it is where that leads, without user and password."""

    url: str  # for asyncpg, which has no connect_timeout in it, and for libpq
    connect_timeout_s: int | None
    places: tuple[Place, ...]
    files: Mapping[str, str]
    verified: bool  # the server must show a certificate that we can check

    def __str__(self) -> str:
        return ", ".join(map(str, self.places))

    def __repr__(self) -> str:
        return f"Dsn({self})"

    def demand_files(self) -> None:
        """That they can be read now: a driver takes one that is missing for a server that is away."""
        for name, file in self.files.items():
            try:
                with Path(file).open("rb"):
                    continue
            except OSError as error:
                raise ValueError(f"{NAME}: {name} names {file}, which can't be read: {error.strerror}") from None
        if "sslkey" in self.files and _open_to_others(Path(self.files["sslkey"])):
            raise ValueError(f"{NAME}: sslkey names {self.files['sslkey']}, which others may read: chmod 600 it")
        if self.verified and not ("sslrootcert" in self.files or _usual_root().exists()):
            raise ValueError(
                f"{NAME}: sslmode=verify-… needs sslrootcert=FILE, the certificate of who signed the server's "
                "(on Debian /etc/ssl/certs/ca-certificates.crt has the public ones)"
            )


def read(url: str) -> Dsn:
    """Raises `ValueError` with a sentence that names the variable, and the parameter where it is one; never a value
    that may be a part of the password."""
    scheme, separator, rest = url.partition("://")
    if scheme not in _SCHEMES or not separator:
        raise ValueError(f"{NAME} must be postgresql://user:password@host/name, or unset")
    head, _, query = rest.partition("?")
    authority, _, name = head.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    if "#" in rest or "@" in name or "@" in query:
        raise ValueError(_unquoted("is cut at a sign that is not quoted"))
    user, _, password = map(unquote, credentials.partition(":"))
    said = dict(_parameters(query))
    places = tuple(_places(said.pop("host", "") or hosts, said.pop("port", "")))
    user, password = said.pop("user", user), said.pop("password", password)
    name = said.pop("dbname", unquote(name))
    _demand_taken(said)
    timeout = said.pop("connect_timeout", None)
    who = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    where = ",".join(place.quoted for place in places)
    if ports := [place.port for place in places if place.port and not place.host]:
        said["port"] = ports[0]
    further = "&".join(f"{key}={quote(value, safe='/')}" for key, value in said.items())
    return Dsn(
        f"postgresql://{who and who + '@'}{where}{name and '/' + quote(name, safe='')}{further and '?' + further}",
        None if timeout is None else int(timeout),
        places,
        {key: said[key] for key in _FILES if key in said},
        said.get("sslmode", "").startswith("verify"),
    )


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    """As libpq reads them: a plus is a plus, and one without a value says nothing."""
    for pair in filter(None, query.split("&")):
        key, _, value = map(unquote, pair.partition("="))
        if value:
            yield key, value


def _places(hosts: str, ports: str) -> Iterator[Place]:
    split = [_place(unquote(host)) for host in hosts.split(",")]
    given = ports.split(",") if ports else []
    if len(given) not in (0, 1, len(split)) or (len(split) > 1 and not all(host for host, _ in split)):
        raise ValueError(f"{NAME}: port must be one, or as many as there are hosts")
    for number, (host, port) in enumerate(split):
        chosen = (given[number] if len(given) > 1 else given[0]) if given else port
        if chosen and not (chosen.isascii() and chosen.isdigit() and 0 < int(chosen) < 1 << 16):
            raise ValueError(_unquoted("has a port that is no number from 1 to 65535"))
        yield Place(host, chosen)


def _place(text: str) -> tuple[str, str]:
    """Host and port of `host:5432`, `[::1]:5432`, `::1` or `/run/postgresql`."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, port.removeprefix(":")
    if text.startswith("/") or text.count(":") > 1:
        return text, ""
    host, _, port = text.partition(":")
    return host, port


def _demand_taken(said: Mapping[str, str]) -> None:
    for key, value in said.items():
        if key not in _TAKEN:
            shown = key if re.fullmatch(r"\w{1,63}", key, re.ASCII) else "a parameter"
            instead = _INSTEAD.get(key, f"possible are {', '.join(_TAKEN)}")
            raise ValueError(f"{NAME}: {shown} can't be taken; {instead}")
        if value not in _VALUES.get(key, (value,)):
            raise ValueError(f"{NAME}: {key} must be one of {', '.join(_VALUES[key])}")
    timeout = said.get("connect_timeout", "1")
    if not (timeout.isascii() and timeout.isdigit() and int(timeout) > 0):
        raise ValueError(f"{NAME}: connect_timeout must be whole seconds, 1 or more")


def _unquoted(what: str) -> str:
    return (
        f"{NAME} {what}. It is postgresql://user:password@host:port/name; in user and password write @ : / ? # % as "
        "%40 %3A %2F %3F %23 %25"
    )


def _open_to_others(key: Path) -> bool:
    """As libpq, by which workers connect, judges it; one of root's may be read by its group."""
    state = key.stat()
    return bool(state.st_mode & (0o037 if state.st_uid == 0 else 0o077))


def _usual_root() -> Path:
    """Where both drivers look when the URL names none."""
    return Path(os.environ.get("PGSSLROOTCERT") or "~/.postgresql/root.crt").expanduser()
