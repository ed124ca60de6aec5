"""Keys of settings: PEM text of an elliptic-curve key on P-256, and nothing else that a library might take for one."""

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)


def private_key(text: str) -> str:
    """The key as PEM (PKCS 8); raises `ValueError`. Line ends may be written as `\\n`, as in one line of a file."""
    key = load_pem_private_key(_lines(text), None)
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("not a private key on the curve P-256")  # noqa: TRY004  it's the text that is wrong
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_key(text: str) -> str:
    """The public key as PEM, also of a private one; raises `ValueError`."""
    if "PRIVATE KEY" in text:
        key = load_pem_private_key(private_key(text).encode(), None).public_key()
    else:
        key = load_pem_public_key(_lines(text))
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("not a key on the curve P-256")  # noqa: TRY004  it's the text that is wrong
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _lines(text: str) -> bytes:
    return text.strip().replace("\\n", "\n").encode()
