"""Commands that end by themselves, as typed: users, keys, help, refusals."""

import asyncio
import secrets
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from app.cli import COMMANDS, cli
from tests.cli.running import EMAIL, PASSWORD


@pytest.fixture(autouse=True)
def away_from_home(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's `.env` is read."""
    monkeypatch.chdir(tmp_path)


def typed(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli, arguments, env=environment, catch_exceptions=False)


class TestAccounts:
    def test_makes_lists_and_revokes_keys(self, database_url: str) -> None:
        here = {"ASSAY_DATABASE__URL": database_url, "COLUMNS": "200"}
        made = typed("user", "create", EMAIL, "--role", "admin", **here, ASSAY_NEW_PASSWORD=PASSWORD)
        assert made.exit_code == 0, made.output
        assert PASSWORD not in made.output

        scopes = ("--scope", "predictions:write", "--scope", "labels:write")
        created = typed("api-key", "create", "--name", "scorer", *scopes, "--model", "fraud", **here)
        assert created.exit_code == 0, created.output
        key = created.stdout.strip()  # alone there: KEY=$(assay api-key create …) works
        _, key_id, secret = key.split("_", 2)

        listed = typed("api-key", "list", **here).stdout
        assert key_id in listed
        assert "labels:write predictions:write" in listed
        assert secret not in listed

        assert typed("api-key", "revoke", key_id, **here).exit_code == 0
        twice = typed("api-key", "revoke", key_id, **here)
        assert twice.exit_code == 1
        assert f"no active API key has the id {key_id}" in twice.stderr

    @pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
    def test_lists_tell_what_other_commands_take_in_one_piece(self, database_url: str, *, terminal: bool) -> None:
        here = {"ASSAY_DATABASE__URL": database_url, "COLUMNS": "80", "TTY_COMPATIBLE": str(int(terminal))}
        email = f"{'a' * 80}@[127.0.0.1]"
        typed("user", "create", email, "--role", "admin", **here, ASSAY_NEW_PASSWORD=PASSWORD)
        options = ("--name", "of the [nightly] import", "--scope", "predictions:write", "--scope", "labels:write")
        key = typed("api-key", "create", *options, "--expires", "2999-01-01", **here).stdout.split("_")[1]
        head, *rows = typed("api-key", "list", **here).stdout.splitlines()
        assert key in rows[0]
        assert all(title in head for title in ("id", "name", "scopes", "models", "made", "ends", "revoked"))
        if terminal:
            assert max(map(len, rows)) <= 80
        else:
            assert len(rows) == 1
            assert "  of the [nightly] import  labels:write predictions:write  all  " in rows[0]
        users = typed("user", "list", **here).stdout
        assert email in users
        assert "admin" in users

    def test_a_key_needs_an_admin_on_whose_behalf_it_is_made(self, database_url: str) -> None:
        scope = ("--scope", "models:read")
        done = typed("api-key", "create", "--name", "x", *scope, ASSAY_DATABASE__URL=database_url)
        assert done.exit_code == 1
        assert "there is no admin yet" in done.stderr

    def test_a_scope_that_no_key_can_have_is_refused_with_those_it_can(self) -> None:
        done = typed("api-key", "create", "--name", "x", "--scope", "users:manage")
        assert done.exit_code == 2
        assert "predictions:write" in done.stderr

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("--name", "", "--model", "fraud"), "--name '': must have at least 1 character"),
            (("--name", "two\nlines"), "--name 'two\\nlines': must not hold control"),
            (
                ("--name", "x", "--model", "fraud", "--model", "bad name!"),
                "--model 'bad name!': must be 1 to 128 letters",
            ),
            (("--name", "x", "--expires", "9999-12-31"), "--expires: must be before 9999-01-01T00:00:00Z"),
        ],
    )
    def test_a_key_that_the_api_would_not_make_is_refused(self, options: tuple[str, ...], said: str) -> None:
        done = typed("api-key", "create", *options, "--scope", "models:read", COLUMNS="400")
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith(f"error: {said}")
        assert len(done.stderr.splitlines()) == 1

    @pytest.mark.parametrize("command", [["api-key", "list"], ["user", "create", EMAIL], ["worker"]])
    def test_makes_no_database_where_there_is_none(self, command: list[str], tmp_path: Path) -> None:
        done = typed(*command, COLUMNS="400", ASSAY_DATA_DIR=str(tmp_path / "other"), ASSAY_NEW_PASSWORD=PASSWORD)
        assert done.exit_code == 1
        assert str(tmp_path / "other") in done.stderr
        assert "ASSAY_DATA_DIR=" in done.stderr
        assert not (tmp_path / "other").exists()

    def test_an_import_goes_to_the_port_of_the_settings(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("id,label\n1,1\n")
        options = ("--model", "m", "--key", "k")
        done = typed("import", "labels", "a.csv", *options, ASSAY_PORT="1", COLUMNS="400")
        assert done.exit_code == 1
        assert "http://127.0.0.1:1" in done.stderr

    def test_an_e_mail_address_is_taken_once(self, database_url: str) -> None:
        here = {"ASSAY_DATABASE__URL": database_url, "ASSAY_NEW_PASSWORD": PASSWORD}
        assert typed("user", "create", EMAIL, **here).exit_code == 0
        again = typed("user", "create", EMAIL.upper(), **here)
        assert again.exit_code == 1
        assert "exists" in again.stderr

    def test_users_are_listed_and_changed(self, database_url: str) -> None:
        here = {"ASSAY_DATABASE__URL": database_url, "ASSAY_NEW_PASSWORD": PASSWORD, "COLUMNS": "200"}
        assert typed("user", "create", EMAIL, "--role", "admin", **here).exit_code == 0
        assert typed("user", "create", "grace@example.com", **here).exit_code == 0
        assert typed("user", "role", "Grace@example.com", "team_lead", **here).exit_code == 0
        assert typed("user", "disable", "grace@example.com", **here).exit_code == 0
        lines = typed("user", "list", **here).stdout.splitlines()
        assert [line.split()[1:3] for line in lines[1:]] == [[EMAIL, "admin"], ["grace@example.com", "team_lead"]]
        assert [line.rstrip().endswith("–") for line in lines[1:]] == [True, False]
        assert typed("user", "disable", "grace@example.com", "--undo", **here).exit_code == 0
        last = typed("user", "disable", EMAIL, **here)
        assert (last.exit_code, "somebody must be able to manage users" in last.stderr) == (1, True)
        assert "no user has the address" in typed("user", "role", "nobody@example.com", "admin", **here).stderr

    def test_a_password_that_is_tried_first_is_refused(self, database_url: str) -> None:
        here = {"ASSAY_DATABASE__URL": database_url, "ASSAY_NEW_PASSWORD": "password1234"}
        done = typed("user", "create", EMAIL, **here)
        assert done.exit_code == 2
        assert "tried first" in done.stderr

    def test_a_short_password_is_refused(self) -> None:
        done = typed("user", "create", EMAIL, ASSAY_NEW_PASSWORD="short")
        assert done.exit_code == 2
        assert "at least 12" not in done.stdout
        assert "12 to 128 characters" in done.stderr


class TestAudit:
    def test_names_who_gave_a_command_and_what_was_changed_afterwards(self, database_url: str) -> None:
        here = {"ASSAY_DATABASE__URL": database_url, "ASSAY_NEW_PASSWORD": PASSWORD, "COLUMNS": "200"}
        assert typed("user", "create", EMAIL, "--role", "admin", **here).exit_code == 0

        async def on_database(*statements: str) -> str:
            connection = await asyncpg.connect(database_url)
            await connection.execute("alter table audit disable trigger user")
            for statement in statements:
                await connection.execute(statement)
            actor: str = await connection.fetchval("select actor from audit")
            await connection.close()
            return actor

        assert asyncio.run(on_database("update audit set at = at - interval '3 hours'")).startswith("command:")
        unattended = typed("audit", "verify", **here)
        assert (unattended.exit_code, "older than two hours" in unattended.stderr) == (0, True)
        asyncio.run(on_database("insert into job (kind, arguments, created_by) values ('audit.close', '{}', 'x')"))
        overdue = typed("audit", "verify", **here)
        assert (overdue.exit_code, "older than two hours" in overdue.stderr) == (1, True)
        assert "1 hours were closed" in typed("audit", "close", **here).stderr
        sound = typed("audit", "verify", **here)
        assert (sound.exit_code, len(sound.stdout.strip())) == (0, 64)
        assert typed("audit", "verify", "--holds", sound.stdout.strip(), **here).exit_code == 0
        assert typed("audit", "verify", "--holds", "0" * 64, **here).exit_code == 1
        asyncio.run(on_database("update audit set actor = 'user:1'"))
        changed = typed("audit", "verify", **here)
        assert changed.exit_code == 1
        assert "row 1 was changed after its hour was closed" in changed.stdout

    def test_of_another_secret_closes_nothing_until_it_is_told_to_vouch_for_it(self, database_url: str) -> None:
        here = {"ASSAY_DATABASE__URL": database_url, "ASSAY_NEW_PASSWORD": PASSWORD, "COLUMNS": "200"}
        other = here | {"ASSAY_AUTH__SECRET": secrets.token_urlsafe(48)}
        assert typed("user", "create", EMAIL, "--role", "admin", **here).exit_code == 0

        async def long_ago() -> None:
            connection = await asyncpg.connect(database_url)
            await connection.execute("alter table audit disable trigger user")
            await connection.execute("update audit set at = at - interval '3 hours'")
            await connection.execute("alter table audit enable always trigger numbered")
            await connection.close()

        asyncio.run(long_ago())
        assert "1 hours were closed" in typed("audit", "close", **here).stderr
        refused = typed("audit", "close", **other)
        assert (refused.exit_code, "ASSAY_AUTH__RETIRED_SECRETS" in refused.stderr) == (1, True)
        assert "secret that is not known here" in typed("audit", "verify", **other).stdout
        assert "secret that is not known here" in typed("audit", "reseal", **other).stdout
        assert typed("audit", "verify", **other).exit_code == 0
        assert "nothing was sealed" in typed("audit", "reseal", **other).stderr


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("ASSAY_PORT", "many", "ASSAY_PORT: Input should be a valid integer"),
            ("ASSAY_AUTH__SECRET", "short-secret", "must have at least 32 bytes"),
            ("ASSAY_HTTP__TRUSTED_HOSTS", "[short-secret]", "ASSAY_HTTP__TRUSTED_HOSTS: a list is written one,two"),
            ("ASSAY_ENVIRONMENT", "production", "production needs ASSAY_AUTH__SECRET"),
            ("ASSAY_AUTH__SIGNING_KEY", "short-secret", "ASSAY_AUTH__SIGNING_KEY must be a PEM key on P-256"),
            ("ASSAY_ADMIN_PASSWORD", "short-secr", "ASSAY_ADMIN_PASSWORD must have at least 12 characters"),
        ],
    )
    def test_a_wrong_one_is_named_without_its_value(self, name: str, value: str, said: str) -> None:
        done = typed("migrate", **{name: value})
        assert done.exit_code == 2
        assert said in done.stderr
        assert "short-secret" not in done.stderr

    @pytest.mark.parametrize(
        ("given", "missing"),
        [
            ({"ASSAY_ADMIN_EMAIL": EMAIL}, "ASSAY_ADMIN_PASSWORD is not set"),
            ({"ASSAY_ADMIN_PASSWORD": PASSWORD}, "ASSAY_ADMIN_EMAIL is not set"),
        ],
    )
    def test_a_first_admin_of_whom_half_is_told_is_refused(self, given: dict[str, str], missing: str) -> None:
        away = "postgresql://assay@127.0.0.1:1/assay"
        done = typed("serve", **given, ASSAY_PORT="0", ASSAY_DATABASE__URL=away)
        assert (done.exit_code, missing in done.stderr) == (2, True)

    def test_what_others_keep_in_the_same_file_is_theirs(self) -> None:
        Path(".env").write_text("POSTGRES_PASSWORD=x\nCOMPOSE_PROJECT_NAME=x\nASSAY_API_KEY=x\nASSAY_PORT=many\n")
        told = typed("migrate").stderr.splitlines()
        assert [line.split(":")[1] for line in told] == [" ASSAY_PORT"]

    @pytest.mark.parametrize("value", ["9", ""])
    def test_a_name_mistyped_in_the_file_is_told_as_one_in_the_environment(self, value: str) -> None:
        Path(".env").write_text(f"ASSAY_PROT={value}\n")
        done = typed("migrate", COLUMNS="400")
        assert done.exit_code == 2
        assert ".env: ASSAY_PROT is no setting: did you mean ASSAY_PORT?" in done.stderr

    def test_a_database_that_is_away_is_told_in_a_line(self) -> None:
        done = typed("migrate", ASSAY_DATABASE__URL="postgresql://assay@127.0.0.1:1/assay")
        assert done.exit_code == 1
        assert "the database at 127.0.0.1:1 can't be used: Connection refused" in done.stderr


class TestHelp:
    def test_the_version_is_told(self) -> None:
        assert typed("--version").stdout.count(".") == 2

    def test_every_command_is_listed(self) -> None:
        listed = typed("--help").stdout
        assert all(f"  {name} " in listed for name in COMMANDS)

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_explains_itself_by_example(self, name: str) -> None:
        groups = {
            "import": ["predictions", "labels"],
            "api-key": ["create", "list", "revoke"],
            "user": ["create", "list", "disable", "role"],
            "audit": ["verify", "close"],
        }
        for arguments in [[name, part] for part in groups.get(name, [])] or [[name]]:
            shown = typed(*arguments, "--help")
            assert shown.exit_code == 0
            assert "Example" in shown.stdout
            assert f"assay {' '.join(arguments)}" in " ".join(shown.stdout.split())

    def test_an_unknown_command_is_refused(self) -> None:
        assert typed("nothing").exit_code == 2


class TestSettingsThatAreNone:
    def test_end_the_command_and_are_named(self) -> None:
        refused = typed("serve", ASSAY_DATABASE_URL="postgresql://db/assay")
        assert refused.exit_code == 2
        assert "ASSAY_DATABASE_URL is no setting: did you mean ASSAY_DATABASE__URL?" in refused.stderr

    def test_a_key_that_would_have_ended_is_not_made(self, database_url: str) -> None:
        here = {"ASSAY_DATABASE__URL": database_url}
        typed("user", "create", EMAIL, "--role", "admin", **here, ASSAY_NEW_PASSWORD=PASSWORD)
        options = ("--name", "late", "--scope", "labels:write", "--expires", "2020-01-01")
        refused = typed("api-key", "create", *options, **here)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "--expires" in refused.stderr
