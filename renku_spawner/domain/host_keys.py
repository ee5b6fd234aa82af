"""Host keys, by which an SSH client knows that it speaks to the very server that an editor meant."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

# In the order in which Go's SSH client, and so rclone, prefers them: it asks a server for its first one
# (https://pkg.go.dev/golang.org/x/crypto/ssh, supportedHostKeyAlgos).
TYPES = ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa", "ssh-ed25519")
_LENGTH_LIMIT = 4000


@dataclass(frozen=True, kw_only=True)
class HostKey:
    """A public key of a server: its type, and the key in base64, as `known_hosts` has them."""

    type: str
    key: str

    @classmethod
    def from_text(cls, text: str) -> HostKey:
        """Read `<type> <base64>`, with or without a comment. Raises ValueError."""
        kind, _, rest = text.strip().partition(" ")
        key = rest.partition(" ")[0]
        if len(text) > _LENGTH_LIMIT or kind not in TYPES:
            raise ValueError("This is not a host key that SSH knows.")
        try:
            blob = base64.b64decode(key, validate=True)
        except binascii.Error:
            raise ValueError("The host key is not whole.") from None
        # RFC 4253, 6.6: the key begins with the length and the name of its type.
        if len(blob) < 32 or not blob.startswith(len(kind).to_bytes(4, "big") + kind.encode()):
            raise ValueError("The host key is not whole.")
        return cls(type=kind, key=key)

    @property
    def text(self) -> str:
        return f"{self.type} {self.key}"

    @property
    def fingerprint(self) -> str:
        """As OpenSSH shows it: `SHA256:` and the digest in base64 without padding."""
        digest = hashlib.sha256(base64.b64decode(self.key)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def algorithms(self) -> str:
        """The signatures of this type of key that an SSH client may ask for."""
        return "rsa-sha2-512 rsa-sha2-256 ssh-rsa" if self.type == "ssh-rsa" else self.type

    def known_hosts(self, port: int) -> str:
        """Write the line of a `known_hosts` file for a server on *port*, under whatever name it is asked."""
        return f"{'*' if port == 22 else f'[*]:{port}'} {self.text}\n"
