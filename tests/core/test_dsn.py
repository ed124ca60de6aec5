"""The database's URL: what is taken, in one form for both drivers, and what is refused without telling the password."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from asyncpg.connect_utils import _parse_connect_dsn_and_args as of_asyncpg  # the only way to see how it reads a URL
from psycopg.conninfo import conninfo_to_dict

from app.core import dsn

TAKEN = [
    ("postgresql://u:p@h/n", "u", "p", [("h", 5432)], "n", "h:5432"),
    ("postgres://u:p@h:6/n", "u", "p", [("h", 6)], "n", "h:6"),
    ("postgresql+asyncpg://u@h/n", "u", None, [("h", 5432)], "n", "h:5432"),
    # signs in a password, quoted and not
    ("postgresql://u:p%40%2F%23@h/n", "u", "p@/#", [("h", 5432)], "n", "h:5432"),
    ("postgresql://u:p@q:r%zz+ @h/n", "u", "p@q:r%zz+ ", [("h", 5432)], "n", "h:5432"),
    # what the query says wins, for one driver as for the other
    ("postgresql://u:p@h:1/n?host=g&port=2&user=v&password=q&dbname=m", "v", "q", [("g", 2)], "m", "g:2"),
    ("postgresql://u@h:1/n?port=2", "u", None, [("h", 2)], "n", "h:2"),
    ("postgresql://u@[::1]:7/n", "u", None, [("::1", 7)], "n", "[::1]:7"),
    ("postgresql://u@/n?host=::1", "u", None, [("::1", 5432)], "n", "[::1]:5432"),
    ("postgresql://u@a:1,b:2/n", "u", None, [("a", 1), ("b", 2)], "n", "a:1, b:2"),
    ("postgresql://u@a,b/n?port=3", "u", None, [("a", 3), ("b", 3)], "n", "a:3, b:3"),
    ("postgresql://u@/n?host=/tmp/x-1", "u", None, ["/tmp/x-1/.s.PGSQL.5432"], "n", "the socket in /tmp/x-1"),
    ("postgresql://u@/n?host=/tmp/x&port=9", "u", None, ["/tmp/x/.s.PGSQL.9"], "n", "the socket in /tmp/x"),
    ("postgresql://u@%2Ftmp%2Fx/n", "u", None, ["/tmp/x/.s.PGSQL.5432"], "n", "the socket in /tmp/x"),
    ("postgresql://u@h/n%2F1", "u", None, [("h", 5432)], "n/1", "h:5432"),
]
REFUSED = [
    ("mysql://u:hunter2@h/n", "must be postgresql://"),
    ("postgresql:u:hunter2@h/n", "must be postgresql://"),
    ("postgresql://u:hunter2@h:abc/n", "port that is no number"),
    ("postgresql://u:hunter2@h:70000/n", "port that is no number"),
    ("postgresql://u:hunter2@h/n?port=x", "port that is no number"),
    ("postgresql://u:hunter2@a,b,c/n?port=1,2", "port must be one, or as many"),
    # a password that cuts the URL
    ("postgresql://u:12/hunter2@h/n", "%2F"),
    ("postgresql://u:12?hunter2@h/n", "%3F"),
    ("postgresql://u:12#hunter2@h/n", "%23"),
    ("postgresql://u:hunter2/x", "port that is no number"),
    # parameters
    ("postgresql://u:hunter2@h/n?ssl=require", "ssl can't be taken; say sslmode=require"),
    ("postgresql://u:hunter2@h/n?channel_binding=require", "channel_binding can't be taken; leave it out"),
    ("postgresql://u:hunter2@h/n?schema=public", "schema can't be taken; possible are sslmode"),
    ("postgresql://u:hunter2@h/n?%68unter2%0A=1", "a parameter can't be taken"),
    ("postgresql://u:hunter2@h/n?sslmode=on", "sslmode must be one of disable"),
    ("postgresql://u:hunter2@h/n?target_session_attrs=standby", "target_session_attrs must be one of any"),
    ("postgresql://u:hunter2@h/n?connect_timeout=0", "connect_timeout must be whole seconds"),
    ("postgresql://u:hunter2@h/n?connect_timeout=1.5", "connect_timeout must be whole seconds"),
]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's own settings of PostgreSQL are read."""
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def parsed(url: str) -> tuple[list[object], object]:
    keys = "host port user password passfile database ssl service servicefile direct_tls server_settings"
    keys += " target_session_attrs krbsrvname gsslib"
    return of_asyncpg(**dict.fromkeys(keys.split()) | {"dsn": url})


class TestRead:
    @pytest.mark.parametrize(("url", "user", "password", "addresses", "name", "shown"), TAKEN)
    def test_is_the_same_for_both_drivers(
        self, url: str, user: str, password: str | None, addresses: list[object], name: str, shown: str
    ) -> None:
        found = dsn.read(url)
        where, how = parsed(found.url)
        assert (where, how.user, how.password, how.database) == (addresses, user, password, name)
        libpq = conninfo_to_dict(found.url)
        assert (libpq["user"], libpq.get("password"), libpq["dbname"]) == (user, password, name)
        hosts, ports = libpq["host"].split(","), (libpq.get("port") or "5432").split(",")
        ports = [port or "5432" for port in ports] * (len(hosts) if len(ports) == 1 else 1)
        together = [
            f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, int(port))
            for host, port in zip(hosts, ports, strict=True)
        ]
        assert together == addresses
        assert str(found) == shown
        assert repr(found) == f"Dsn({shown})"

    def test_parameters_reach_both(self) -> None:
        said = (
            "sslmode=require&connect_timeout=7&application_name=a+b%20c&target_session_attrs=read-write"
            "&options=-cstatement_timeout%3D9&ssl_min_protocol_version=TLSv1.3&sslcert="
        )
        found = dsn.read(f"postgres://u@h/n?{said}")
        _, how = parsed(found.url)
        libpq = conninfo_to_dict(found.url)
        assert found.connect_timeout_s == 7
        assert how.server_settings == {"application_name": "a+b c", "options": "-cstatement_timeout=9"}
        assert (libpq["application_name"], libpq["options"]) == ("a+b c", "-cstatement_timeout=9")
        assert (how.sslmode.name, libpq["sslmode"]) == ("require", "require")
        assert (how.target_session_attrs.value, libpq["target_session_attrs"]) == ("read-write", "read-write")
        assert libpq["ssl_min_protocol_version"] == "TLSv1.3"
        assert "sslcert" not in libpq

    @pytest.mark.parametrize(("url", "said"), REFUSED)
    def test_what_can_not_be_taken_is_named_and_the_password_is_not(self, url: str, said: str) -> None:
        with pytest.raises(ValueError, match=r"^ASSAY_DATABASE__URL") as refused:
            dsn.read(url)
        assert said in str(refused.value)
        assert "hunter2" not in str(refused.value)
        assert "\n" not in str(refused.value)


class TestFiles:
    @pytest.mark.parametrize("name", ["sslrootcert", "sslcert", "sslkey"])
    def test_one_that_is_not_there_is_named(self, name: str) -> None:
        found = dsn.read(f"postgresql://u:hunter2@h/n?{name}=/not/there")
        with pytest.raises(ValueError, match=f"{name} names /not/there, which can't be read: No such file"):
            found.demand_files()

    @pytest.mark.parametrize(("mode", "refused"), [(0o600, False), (0o644, True), (0o604, True)])
    def test_a_key_is_nobody_elses(self, tmp_path: Path, mode: int, refused: bool) -> None:
        """A worker would not take it, and a server would."""
        key = tmp_path / "key"
        key.touch()
        key.chmod(mode)
        found = dsn.read(f"postgresql://u:hunter2@h/n?sslkey={key}")
        with pytest.raises(ValueError, match="which others may read: chmod 600 it") if refused else nullcontext():
            found.demand_files()

    def test_a_server_can_be_verified_by_something_only(self, tmp_path: Path) -> None:
        found = dsn.read("postgresql://u@h/n?sslmode=verify-full")
        with pytest.raises(ValueError, match="needs sslrootcert=FILE"):
            found.demand_files()
        (tmp_path / ".postgresql").mkdir()
        (tmp_path / ".postgresql/root.crt").touch()
        found.demand_files()
