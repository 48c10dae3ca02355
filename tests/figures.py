"""What a figure of matplotlib says, and whether all of it is inside of the picture."""

from typing import Any


def texts_of(figure: Any) -> list[str]:
    """The texts of a figure that are not empty."""
    return [text.get_text() for text in _visible(figure)]


def overhang(figure: Any) -> float:
    """Return how many pixels of what is drawn are beyond the edges of the picture."""
    figure.canvas.draw()
    drawn, whole = figure.get_tightbbox(), figure.bbox_inches
    beyond = (whole.x0 - drawn.x0, whole.y0 - drawn.y0, drawn.x1 - whole.x1, drawn.y1 - whole.y1)
    return max(0.0, figure.dpi * max(beyond) - 1)  # of rounding


def _visible(figure: Any) -> list[Any]:
    from matplotlib.text import Text

    figure.canvas.draw()
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
