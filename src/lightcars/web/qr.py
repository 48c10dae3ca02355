"""QR codes in the terminal, if the small library for them is installed. No torch."""

from __future__ import annotations

import io


def qr_text(address: str) -> str | None:
    """Return a QR code of half blocks, for a dark or a light terminal; None without segno."""
    try:
        import segno
    except ImportError:
        return None
    out = io.StringIO()
    segno.make(address, error="l").terminal(out, border=2, compact=True)
    return out.getvalue()
