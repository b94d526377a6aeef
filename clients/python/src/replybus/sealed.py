"""Values that one program alone can read, whatever they wait in: needs the extra `sealed`.

Each is encrypted to the public key of who is to read it (RFC 9180), for a purpose that both know.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey
from pyhpke.exceptions import PyHPKEError

from .codec import MSGPACK, decode, encode

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_VERSION, _ENCAPSULATED, _TAG, _STEP, _LENGTH = 1, 32, 16, 64, 4
_INFO = "replybus sealed\n"
_SUITE = CipherSuite.new(
    KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.CHACHA20_POLY1305
)


class NotOpened(ValueError):
    """A value could not be opened. Nothing of it is repeated."""


class SealingKey:
    """The public key (X25519) of who is to read what is sealed, and its name."""

    def __init__(self, name: str, public: bytes) -> None:
        _check_name(name)
        self.name = name
        self._key = X25519PublicKey.from_public_bytes(public)

    @classmethod
    def from_pem(cls, name: str, pem: str) -> SealingKey:
        """The key in a file: PEM, SPKI.

        Raises:
            ValueError: the name or the text is none.
        """
        key = serialization.load_pem_public_key(pem.encode())
        if not isinstance(key, X25519PublicKey):
            raise ValueError("it is no key of X25519")
        return cls(name, key.public_bytes_raw())

    def to_pem(self) -> str:
        """As it is written into a file."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_bytes(serialization.Encoding.PEM, form).decode()


class OpeningKey:
    """The private key (X25519) that opens what was sealed to its public one, and those before it."""

    def __init__(self, name: str, secret: bytes) -> None:
        _check_name(name)
        self._name = name
        self._key = X25519PrivateKey.from_private_bytes(secret)
        self._earlier: OpeningKey | None = None

    @classmethod
    def generate(cls, name: str) -> OpeningKey:
        """A new key."""
        return cls(name, X25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def from_pem(cls, name: str, pem: str) -> OpeningKey:
        """The key in a file, as `openssl genpkey -algorithm x25519` writes it: PEM, PKCS #8.

        Raises:
            ValueError: the name or the text is none.
        """
        key = serialization.load_pem_private_key(pem.encode(), None)
        if not isinstance(key, X25519PrivateKey):
            raise ValueError("it is no key of X25519")
        return cls(name, key.private_bytes_raw())

    def to_pem(self) -> str:
        """As it is written into a file, which only who opens may read."""
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return self._key.private_bytes(encoding, form, serialization.NoEncryption()).decode()

    def sealing_key(self) -> SealingKey:
        """The public key of it, for who seals."""
        return SealingKey(self._name, self._key.public_key().public_bytes_raw())

    def replacing(self, earlier: OpeningKey) -> OpeningKey:
        """Opens also what was sealed to an earlier key."""
        both = OpeningKey(self._name, self._key.private_bytes_raw())
        both._earlier = earlier if self._earlier is None else self._earlier.replacing(earlier)
        return both

    def named(self, name: str) -> Iterator[X25519PrivateKey]:
        """The keys of that name, the newest first."""
        if self._name == name:
            yield self._key
        if self._earlier is not None:
            yield from self._earlier.named(name)


def seal(value: Any, key: SealingKey, purpose: str) -> str:
    """Seals a value to a key, for a purpose that who opens it has to know.

    What comes is an argument like any other. Sealing again gives another text, so a call that is made
    again under its idempotency key takes the first one.

    Raises:
        ValueError: the value can't be encoded, or the key keeps no secret.
    """
    encoded = encode(MSGPACK, value)
    content = len(encoded).to_bytes(_LENGTH, "big") + encoded
    content += bytes(-len(content) % _STEP)
    name = key.name.encode()
    head = bytes([_VERSION, len(name)]) + name
    try:
        public = KEMKey.from_pyca_cryptography_key(key._key)
        encapsulated, sender = _SUITE.create_sender_context(public, _info(purpose))
        encrypted = sender.seal(content, head)
    except PyHPKEError as error:
        raise ValueError(f"nothing can be sealed to the key {key.name!r}") from error
    return base64.b64encode(head + encapsulated + encrypted).decode()


def open_sealed(sealed: str | bytes, key: OpeningKey, purpose: str) -> Any:
    """What was sealed, for the purpose that it was sealed for.

    Raises:
        NotOpened: it is none, was altered, or sealed to another key or for another purpose.
    """
    head, name, encapsulated, encrypted = _apart(sealed)
    keys = list(key.named(name))
    if not keys:
        raise NotOpened(f"it is sealed to the key {name!r}, which is not here")
    for one in keys:
        try:
            private = KEMKey.from_pyca_cryptography_key(one)
            recipient = _SUITE.create_recipient_context(encapsulated, private, _info(purpose))
            content = recipient.open(encrypted, head)
        except PyHPKEError:
            continue
        return _value(content)
    raise NotOpened("it was altered, or sealed for another purpose or to another key of that name")


def _value(content: bytes) -> Any:
    length = int.from_bytes(content[:_LENGTH], "big")
    encoded = content[_LENGTH : _LENGTH + length]
    try:
        if len(encoded) == length:
            return decode(MSGPACK, encoded)
    except ValueError:
        pass
    raise NotOpened("what was sealed is no value")


def _apart(sealed: str | bytes) -> tuple[bytes, str, bytes, bytes]:
    try:
        data = base64.b64decode(sealed, validate=True) if isinstance(sealed, str) else sealed
        length = data[1]
        head, rest = data[: 2 + length], data[2 + length :]
        name = head[2:].decode("ascii")
        _check_name(name)
        if head[0] != _VERSION or len(rest) < _ENCAPSULATED + _TAG:
            raise ValueError
    except (ValueError, IndexError):
        raise NotOpened("it is no sealed value") from None
    return head, name, rest[:_ENCAPSULATED], rest[_ENCAPSULATED:]


def _info(purpose: str) -> bytes:
    return (_INFO + purpose).encode()


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError("the name of a key has 1 to 64 letters, digits, '-', '_' and '.'")
