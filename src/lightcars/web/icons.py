"""The icons of the page: a car on the page's color. No torch."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw

from lightcars.web.colors import Color, as_hex, contrast

BODY = ((8, 60), (14, 44), (26, 41), (38, 28), (64, 28), (78, 42), (90, 46), (92, 60))
"""Outline of the car in a square of 100 x 100."""
WINDOWS = (((32, 42), (41, 33), (50, 33), (50, 42)), ((54, 42), (54, 33), (62, 33), (70, 42)))
WHEELS = ((28, 61), (73, 61))
RADIUS = 8.5
_SAMPLES = 4
"""Drawn so many times larger and scaled down, for smooth edges."""


def svg_icon(color: Color) -> str:
    """Return the icon as SVG."""
    paint, paper = as_hex(_paint(color)), as_hex(color)
    shapes = [f'<polygon points="{_points(BODY)}" fill="{paint}"/>']
    shapes += [f'<polygon points="{_points(window)}" fill="{paper}"/>' for window in WINDOWS]
    for x, y in WHEELS:
        shapes.append(
            f'<circle cx="{x}" cy="{y}" r="{RADIUS}" fill="{paint}" stroke="{paper}" stroke-width="3"/>'
        )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">'
        f'<rect width="100" height="100" rx="20" fill="{paper}"/>{"".join(shapes)}</svg>\n'
    )


def png_icon(color: Color, side: int, *, zoom: float = 1.0) -> bytes:
    """Return the icon as a PNG without transparency.

    Args:
        color: of the background.
        side: in pixels.
        zoom: of the car; 0.8 keeps it inside of the circle to which launchers may cut "maskable" icons.
    """
    large = side * _SAMPLES
    image = Image.new("RGB", (large, large), color)
    pen, paint = ImageDraw.Draw(image), _paint(color)

    def place(x: float, y: float) -> tuple[float, float]:
        return (50 + (x - 50) * zoom) * large / 100, (50 + (y - 50) * zoom) * large / 100

    pen.polygon([place(x, y) for x, y in BODY], fill=paint)
    for window in WINDOWS:
        pen.polygon([place(x, y) for x, y in window], fill=color)
    for x, y in WHEELS:
        for radius, fill in ((RADIUS + 1.5, color), (RADIUS - 1.5, paint)):
            pen.ellipse((*place(x - radius, y - radius), *place(x + radius, y + radius)), fill=fill)
    content = io.BytesIO()
    image.resize((side, side), Image.Resampling.BOX).save(content, format="PNG", optimize=True)
    return content.getvalue()


def _paint(color: Color) -> Color:
    white, black = (255, 255, 255), (16, 20, 24)
    return white if contrast(color, white) >= contrast(color, black) else black


def _points(shape: tuple[tuple[float, float], ...]) -> str:
    return " ".join(f"{x},{y}" for x, y in shape)
