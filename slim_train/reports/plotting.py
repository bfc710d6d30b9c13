"""matplotlib without pyplot: no window, no global figure, and no failure where it is not installed."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

from slim_train.reports.fonts import font_file, one_line

log = logging.getLogger(__name__)

INK, FAINT_INK, BLUE, ORANGE = "#1f2933", "#7b8794", "#1f6fb2", "#d9730d"


@lru_cache(maxsize=1)
def has_matplotlib() -> bool:
    """Return whether charts can be drawn; said once in the log where they cannot."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        log.warning("No charts: matplotlib is not installed. Run pip install 'slim-train[plots]'.")
        return False
    return True


def new_figure(width: float, height: float) -> Any:
    """Return an empty matplotlib Figure, sizes in inches, that draws to memory."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, path: Path, dots_per_inch: int) -> None:
    """Write ``figure`` as PNG, cropped or widened to what is drawn on it."""
    from datasets.files import replacing  # not at the top: commands check first that this package is ours

    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dots_per_inch, bbox_inches="tight", pad_inches=0.25)


def text_style(text: str, size: float, **more: Any) -> dict[str, Any]:
    """Keyword arguments of a matplotlib Text that draw ``text`` as it is: in a font that has it, ``$`` a dollar."""
    from matplotlib.font_manager import FontProperties

    file = font_file(one_line(text))
    return {"fontproperties": FontProperties(fname=file, size=size), "parse_math": False} | more
