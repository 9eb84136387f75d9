"""What a server could not do."""

from __future__ import annotations

from collections.abc import Sequence

ERROR_CODES_OF_SERVERS = ("OUT_OF_MEMORY", "UNAVAILABLE", "INTERNAL")  # another server may do better
ERROR_CODES = ("INVALID_ARGUMENT", "CANCELLED", *ERROR_CODES_OF_SERVERS)

RETRIED = (502, 503, 504)  # of HTTP: a proxy's, whose server may still be at work


class ServingError(RuntimeError):
    """What a server could not do. `code` is one of ERROR_CODES; `status` of HTTP, 0 within an answer."""

    def __init__(self, code: str, message: str, status: int = 0):
        super().__init__(message)
        self.code, self.status = code, status

    @classmethod
    def of(cls, text: str, otherwise: str = "INTERNAL", status: int = 0) -> ServingError:
        """By the code that begins the text; `otherwise` where none does."""
        code = next((code for code in ERROR_CODES if text.startswith(f"{code}:")), None)
        return cls(otherwise, f"{otherwise}: {text}", status) if code is None else cls(code, text, status)


class UnreachableError(ServingError):
    """No server answered. The message names them."""

    def __init__(self, servers: Sequence[str], why: object):
        super().__init__("UNAVAILABLE", f"UNAVAILABLE: no answer from {', '.join(servers)} ({why})")
