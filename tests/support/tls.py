"""A PostgreSQL that lets nobody in over TCP without TLS and a password, as a managed one does."""

import datetime
import ipaddress
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.db.embedded import EmbeddedServer
from app.db.unprivileged import unprivileged
from tests.support.served import free_port

PASSWORD = "pw@strong/123"
QUOTED = "pw%40strong%2F123"
RULES = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True, slots=True)
class Guarded:
    """`socket`: the way in that needs nothing."""

    socket: str
    port: int
    root: Path
    stranger: Path  # a certificate that did not sign the server's

    def url(self, name: str, **said: object) -> str:
        query = "&".join(f"{key}={value}" for key, value in said.items())
        return f"postgres://assay:{QUOTED}@127.0.0.1:{self.port}/{name}?{query}"


@contextmanager
def guarded(folder: Path, programs: Path) -> Iterator[Guarded]:
    """Its certificate is signed by itself, for 127.0.0.1."""
    for name in ("server", "stranger"):
        _certificate(folder, name)
    user = unprivileged("assay") if os.geteuid() == 0 else None
    if user is not None:
        os.chown(folder / "server.key", user.pw_uid, user.pw_gid)
    folder.chmod(0o755)
    port = free_port()
    parameters = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "shared_buffers": "32MB",
        "ssl": "on",
        "ssl_cert_file": str(folder / "server.crt"),
        "ssl_key_file": str(folder / "server.key"),
    }
    made = EmbeddedServer(folder / "data", parameters=parameters, programs=programs)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PGPORT", str(port))  # where the server's own programs look for it
        made.start()
    try:
        (folder / "data/postgres/pg_hba.conf").write_text(RULES)
        socket = f"{made.url}&port={port}"
        said = f"alter role assay password '{PASSWORD}'; select pg_reload_conf()"
        subprocess.run([programs / "psql", "-Xq", socket, "-c", said], check=True, capture_output=True)
        yield Guarded(socket, port, folder / "server.crt", folder / "stranger.crt")
    finally:
        made.stop()


def _certificate(folder: Path, name: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / f"{name}.crt").write_bytes(made.public_bytes(pem))
    file = folder / f"{name}.key"
    file.touch(mode=0o600)
    file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
