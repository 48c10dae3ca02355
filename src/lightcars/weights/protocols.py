"""Translate the pickles of `torch.save(..., pickle_protocol=4)` and 5 into protocol 2, without running them.

torch's restricted unpickler reads what protocol 2 has. Opcodes are translated one by one, as Python's
`pickletools` parses them; nothing is called or imported. Texts are written out where they are used and not
remembered, so that the name of a global, which protocol 4 builds of two texts, can become one opcode.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import shutil
import zipfile
from pathlib import Path
from typing import Any

from lightcars.errors import CheckpointError

_MAX_BYTES = 16 << 20
"""Of a pickle, before and after; those of real checkpoints have some hundred kilobytes."""
_MAX_OPERATIONS = 1_000_000
"""Of a pickle; EfficientNet-B7 with its optimizer and an average of its weights has 160,000."""
_TEXTS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_BYTES = {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_PUTS, _GETS = {"BINPUT", "LONG_BINPUT"}, {"BINGET", "LONG_BINGET"}
_OTHERS = {
    "PROTO": b"\x80\x02",
    "FRAME": b"",
    "EMPTY_SET": pickle.EMPTY_LIST,
    "ADDITEMS": pickle.APPENDS,
    "FROZENSET": pickle.TUPLE,
}
"""Sets become lists and tuples; no model is in them."""
_RECORDS = ("data.pkl", "version", "byteorder")
"""Of an archive, beside those below `data/`."""
_ZIP = b"PK\x03\x04"
_LEGACY_PICKLES = 5
"""At the beginning of files from before PyTorch 1.6: magic number, version, system, content, keys."""


def copy_in_protocol_2(path: Path) -> io.BytesIO:
    """Return a copy in memory of a file of `torch.save`, whose pickles are of protocol 2.

    Raises:
        CheckpointError: a pickle that is too long, or names a global by anything but two texts.
    """
    with path.open("rb") as file:
        begin = file.read(len(_ZIP))
    return _archive(path) if begin == _ZIP else _legacy(path)


def _archive(path: Path) -> io.BytesIO:
    copied = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(copied, "w", zipfile.ZIP_STORED) as target:
        for record in source.infolist():
            name = record.filename.partition("/")[2]
            if name == "data.pkl" and record.file_size > _MAX_BYTES:
                raise _too_long(path)
            if name == "data.pkl":
                target.writestr(record.filename, _protocol_2(io.BytesIO(source.read(record)), path))
            elif name in _RECORDS or name.startswith("data/"):
                target.writestr(record.filename, source.read(record))
    copied.seek(0)
    return copied


def _legacy(path: Path) -> io.BytesIO:
    copied = io.BytesIO()
    with path.open("rb") as file:
        for _ in range(_LEGACY_PICKLES):
            start = file.tell()
            pickled = io.BytesIO(file.read(_MAX_BYTES))
            copied.write(_protocol_2(pickled, path))
            file.seek(start + pickled.tell())
        shutil.copyfileobj(file, copied)
    copied.seek(0)
    return copied


def _protocol_2(source: io.BytesIO, path: Path) -> bytes:
    """Return the next pickle of a stream in the opcodes of protocol 2; the stream then stands behind it."""
    written, data, start = _Written(path), source.getvalue(), 0
    for number, (opcode, argument, _) in enumerate(pickletools.genops(source)):
        if number > _MAX_OPERATIONS:
            raise _too_long(path)
        end = source.tell()
        written.add(opcode.name, argument, data[start:end])
        start = end
    return written.whole()


class _Written:
    """Opcodes of protocol 2, and the texts that the pickle remembers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts: list[bytes | str] = []  # a `str` pushes this text
        self.texts: dict[int, str] = {}
        self.remembered = 0
        self.size = 0

    def add(self, name: str, argument: Any, raw: bytes) -> None:
        """Append one operation of the source."""
        if name in _TEXTS:
            self._append(argument)
        elif name in _BYTES:
            self._append(
                b"c_codecs\nencode\n", argument.decode("latin-1"), "latin-1", pickle.TUPLE2 + pickle.REDUCE
            )
        elif name == "MEMOIZE" or name in _PUTS:
            self._remember(self.remembered if name == "MEMOIZE" else argument)
        elif name in _GETS:
            self._append(self.texts.get(argument, raw))
        elif name == "STACK_GLOBAL":
            self._append(self._global())
        else:
            self._append(_OTHERS.get(name, raw))

    def whole(self) -> bytes:
        """Return the pickle."""
        return b"".join(_text(part) if isinstance(part, str) else part for part in self.parts)

    def _append(self, *parts: bytes | str) -> None:
        self.parts += [part for part in parts if part != b""]
        self.size += sum(len(part) for part in parts)
        if self.size > _MAX_BYTES:  # a text that is used again and again
            raise _too_long(self.path)

    def _remember(self, key: int) -> None:
        self.remembered += 1
        last = self.parts[-1] if self.parts else b""
        if isinstance(last, str):
            self.texts[key] = last
            return
        self.texts.pop(key, None)
        self._append(pickle.LONG_BINPUT + key.to_bytes(4, "little"))

    def _global(self) -> bytes:
        names = [name for name in self.parts[-2:] if isinstance(name, str) and "\n" not in name]
        if len(names) < 2:
            raise CheckpointError(f"{self.path} is not a PyTorch file, or corrupt; copy or save it again.")
        del self.parts[-2:]
        return pickle.GLOBAL + "".join(f"{name}\n" for name in names).encode()


def _text(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    return pickle.BINUNICODE + len(encoded).to_bytes(4, "little") + encoded


def _too_long(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} contains far more than tensors, unlike real weights; get the file from another source."
    )
