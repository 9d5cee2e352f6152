"""Counts as text that is small: an aggregate of every shard is kept in the ledger."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any


def packed(value: Any) -> str:
    """Plain values as a JSON text that holds them compressed.

    >>> unpacked(packed({"a": [1, 2]}))
    {'a': [1, 2]}
    """
    raw = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return json.dumps({"zlib": base64.b64encode(zlib.compress(raw, 6)).decode()})


def unpacked(content: str) -> Any:
    """The values that :func:`packed` wrote."""
    return json.loads(zlib.decompress(base64.b64decode(json.loads(content)["zlib"])))
