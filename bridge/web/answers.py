"""What every answer tells browsers to refuse, and the JSON that answers a request which is not served."""

import json

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, a browser says that our own forms come from nowhere
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
}


def refusal_body(message: str) -> bytes:
    return json.dumps({"success": False, "error": message}).encode() + b"\n"


def refusal_headers(body: bytes) -> list[tuple[bytes, bytes]]:
    """For an answer after which the connection is closed: what the client sends further is not read."""
    headers = SECURITY_HEADERS | {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
