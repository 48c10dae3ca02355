"""Fetch a small file, such as an image, from the web into memory. No torch."""

from __future__ import annotations

import time
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request

from lightcars.errors import DownloadError
from lightcars.weights.transfer import read_some, web_opener

TIMEOUT_S = 15.0
"""Without a byte."""
LIMIT_S = 120.0
"""For the whole file, however steadily it comes."""
ATTEMPTS = 2
WAIT_S = 0.5
"""Before the second attempt."""
TRANSIENT = (408, 429, 500, 502, 503, 504)


def fetch_small(url: str, *, max_bytes: int) -> bytes:
    """Return the content of a file on the web.

    Args:
        url: an HTTP or HTTPS address; redirects never leave the web, nor HTTPS.
        max_bytes: a larger file is refused, whatever its server says of its size.

    Raises:
        DownloadError: another kind of address, no such file, no answer, too large or too slow; the message
            names the address.
    """
    if not url.lower().startswith(("http://", "https://")):  # urllib would open local files too
        raise DownloadError(f"{url} is not an HTTP or HTTPS address.")
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(WAIT_S)
        try:
            return _fetch(url, max_bytes)
        except HTTPError as error:
            error.close()  # it holds the connection
            problem = f"the server answers {error.code}"
            if error.code not in TRANSIENT:
                break
        except DownloadError:
            raise
        except (URLError, HTTPException, OSError, ValueError) as error:
            problem = str(getattr(error, "reason", error)) or type(error).__name__
    raise DownloadError(f"{url} cannot be fetched ({problem}).")


def _fetch(url: str, max_bytes: int) -> bytes:
    request = Request(_quoted(url), headers={"User-Agent": "lightcars", "Accept-Encoding": "identity"})
    until = time.monotonic() + LIMIT_S
    content = bytearray()
    with web_opener().open(request, timeout=TIMEOUT_S) as response:
        while chunk := read_some(response):
            content += chunk
            if len(content) > max_bytes:
                raise DownloadError(f"{url} has more than {max_bytes >> 20} MiB, which is the limit.")
            if time.monotonic() > until:
                raise DownloadError(f"{url} takes longer than {LIMIT_S:g} s.")
        if response.length:  # what the server announced and did not send
            raise ConnectionError(f"{response.length} bytes are missing")
    return bytes(content)


def _quoted(url: str) -> str:
    """Return an address with its spaces and letters of other scripts escaped, as browsers do."""
    parts = urlsplit(url)
    host = parts.netloc.encode("idna").decode() if not parts.netloc.isascii() else parts.netloc
    path, query = quote(parts.path, safe="/%:@!$&'()*+,;=~"), quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    return parts._replace(netloc=host, path=path, query=query, fragment="").geturl()
