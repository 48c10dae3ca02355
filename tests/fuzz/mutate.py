"""Damage files: bytes, tokens of text, values of JSON; everything follows from the random generator."""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

NUMBERS = (0, 1, -1, 2, 7, 255, 65_536, 10**6, 2**31, 2**63, 10**30, 0.5, 1e-300, 1e308, -0.0)
TEXTS = ("", "a", "\x00", "e\u0301", "\x1b[31m", "../../etc/passwd", "=1+1", "1e999", "a" * 5000)
NESTED: tuple[Any, ...] = ([], {}, [[]], [1, "a", None], {"a": 1}, {"": {}})
VALUES = (*NUMBERS, None, True, False, *TEXTS, *NESTED)
MARKS = (
    b'"',
    b"'",
    b",",
    b";",
    b":",
    b"\n",
    b"\r\n",
    b"\t",
    b"\x00",
    b"[",
    b"]",
    b"{",
    b"}",
    b"- ",
    b"? ",
    b"%d",
)
YAML = (b"&a [*a, *a]", b"&x {b: *x}", b"!!int abc", b"!!python/object:os.system", b"<<: *a", b"2024-01-01")
TOKENS = (
    *(b"nan", b"-inf", b"1e999", b"9" * 400, b"-1", b"0", b"0x10", b"1_0", b"null", b"true", b"~"),
    *(b"[" * 2000, b'{"a":' * 500, b"a" * 4000),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\x1b[2J", b"\\u0000", b"\\ud800"),
    *MARKS,
    *YAML,
)


def mutate_bytes(content: bytes, random: Random) -> bytes:
    """Return a copy with one to six changes of bytes and blocks."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        size = len(changed)
        place, length = random.randrange(size + 1), random.choice((1, 1, 2, 4, 8, 64, 512))
        match random.randrange(8):
            case 0 if size:
                changed[place % size] ^= 1 << random.randrange(8)
            case 1 if size:
                changed[place % size] = random.choice((0, 1, 127, 128, 255))
            case 2:
                changed[place : place + length] = b""
            case 3:
                changed[place:place] = random.randbytes(length)
            case 4:
                changed[place : place + length] = random.choice((b"\x00", b"\xff")) * length
            case 5:
                other = random.randrange(size + 1)
                changed[place:place] = changed[other : other + length]
            case 6:
                width = random.choice((2, 4, 8))
                value = (
                    random.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, size, size * 2)) % 256**width
                )
                changed[place : place + width] = value.to_bytes(width, random.choice(("little", "big")))
            case 7 if random.random() < 0.3:
                del changed[place:]
    return bytes(changed)


def mutate_text(content: bytes, random: Random) -> bytes:
    """Return a copy with tokens inserted or replaced, lines repeated or removed; or damaged bytes."""
    if random.random() < 0.25:
        return mutate_bytes(content, random)
    lines = content.split(b"\n")
    for _ in range(random.choice((1, 1, 2, 4))):
        place = random.randrange(len(lines))
        line = lines[place]
        start = random.randrange(len(line) + 1)
        end = min(len(line), start + random.choice((0, 0, 1, 3, 10)))
        match random.randrange(5):
            case 0 | 1:
                lines[place] = line[:start] + random.choice(TOKENS) + line[end:]
            case 2:
                parts = line.split(random.choice((b",", b":", b" ")))
                parts[random.randrange(len(parts))] = random.choice(TOKENS)
                lines[place] = random.choice((b",", b": ", b" ")).join(parts)
            case 3:
                lines.insert(place, random.choice(lines))
            case 4 if len(lines) > 1:
                del lines[place]
    return b"\n".join(lines)


def mutate_json(content: bytes, random: Random) -> bytes:
    """Return a copy with values replaced, removed or added; or damaged text."""
    if random.random() < 0.3:
        return mutate_text(content, random)
    data = json.loads(content)
    for _ in range(random.choice((1, 1, 2, 3))):
        data = _changed(data, random)
    return json.dumps(data, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")


def _changed(data: Any, random: Random) -> Any:
    if random.random() < 0.2 or not isinstance(data, dict | list) or not data:
        return deepcopy(random.choice(VALUES))
    key = random.choice(list(data)) if isinstance(data, dict) else random.randrange(len(data))
    action = random.random()
    if action < 0.1:
        del data[key]
    elif action < 0.15 and isinstance(data, dict):
        data[random.choice(("x", "", "format", "a" * 3000))] = deepcopy(random.choice(VALUES))
    elif action < 0.2 and isinstance(data, list):
        data += [deepcopy(data[key])] * random.choice((1, 5, 1000))
    else:
        data[key] = _changed(data[key], random)
    return data
