"""The secret that signs: given, or made once and kept in the data directory."""

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path

from app.core.settings import Settings

BYTES = 48


def signing_secret(settings: Settings) -> bytes:
    """`ASSAY_AUTH__SECRET`; unset (development only), a random one of this data directory, made if missing."""
    if settings.auth.secret is not None:
        return settings.auth.secret.get_secret_value().encode()
    return _kept(settings.data_dir / "secrets")


def secrets_of(settings: Settings) -> tuple[bytes, ...]:
    """The secret that signs now, then the retired ones."""
    retired = (secret.get_secret_value().encode() for secret in settings.auth.retired_secrets)
    return signing_secret(settings), *retired


def derived(secret: bytes, purpose: str) -> bytes:
    """A key of its own for each purpose, so that no two uses of the secret can be played against each other."""
    return hmac.digest(secret, b"assay " + purpose.encode(), sha256)


def _kept(folder: Path) -> bytes:
    """Of several processes that start at once, one makes the secret and all read it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / "auth.key"
    if not file.exists():
        mine = folder / f".auth.key.{os.getpid()}.{secrets.token_hex(4)}"
        handle = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as out:
            out.write(secrets.token_urlsafe(BYTES))
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(mine, file)  # fails where another process was first, and then its secret holds
        except FileExistsError:
            return file.read_bytes()
        finally:
            mine.unlink()
    return file.read_bytes()
