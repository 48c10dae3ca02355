"""`lightcars serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightcars.cli.output import complain, print_line
from lightcars.errors import ConfigError

if TYPE_CHECKING:
    from lightcars.web.server import SiteServer


def serve(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What `lightcars export --to web` wrote.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any free one.")] = 8000,
    network: Annotated[
        bool,
        typer.Option("--network", help="Serve phones on the same network too, and show a QR code for them."),
    ] = False,
    certificate: Annotated[
        Path | None,
        typer.Option(help="PEM file for HTTPS, which phones need for the live camera and for offline use."),
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")] = None,
) -> None:
    """Serve an exported web page, with the headers that it needs, until Ctrl-C.

    Example: lightcars serve site --network --certificate cert.pem --key key.pem
    """
    if key is not None and certificate is None:
        raise ConfigError("--key requires --certificate.")
    serve_site(folder, port, network=network, certificate=certificate, key=key)


def serve_site(
    folder: Path,
    port: int,
    *,
    network: bool = False,
    certificate: Path | None = None,
    key: Path | None = None,
) -> None:
    """Serve a folder until Ctrl-C, and say where."""
    from lightcars.web.server import EVERYWHERE, LOOPBACK, SiteServer

    host = EVERYWHERE if network else LOOPBACK
    with SiteServer(folder, host, port, certificate=certificate, key=key) as server:
        print_line(f"on this machine: {server.address('localhost')}")
        if network:
            _invite(server)
        complain("Press Ctrl-C to stop.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            complain("stopped")


def _invite(server: SiteServer) -> None:
    """Print the address for phones, and its QR code."""
    from lightcars.web.qr import qr_text
    from lightcars.web.server import network_address

    found = network_address()
    if found is None:
        complain("note: this machine is not on a network.")
        return
    address = server.address(found)
    print_line(f"on your phone: {address}")
    code = qr_text(address)
    if code is not None:
        typer.echo(code)
    else:
        complain("note: pip install 'lightcars[web]' shows a QR code here.")
    if server.tls is None:
        complain(
            "note: over plain HTTP, phones can choose pictures or take them with their camera app; the live"
            " camera"
            " and offline use need HTTPS: --certificate and --key."
        )
