"""The pages that reports are, in a real browser: on a desktop, on a phone, by keyboard, and on paper."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import slim_train as st
from slim_train.checkpoints import training_folder
from slim_train.evaluation.accuracy_by import Group
from slim_train.evaluation.metrics import ClassificationMetrics, predict
from slim_train.evaluation.mistakes import Mistake
from slim_train.evaluation.predictions_csv import PredictionsCsv
from slim_train.evaluation.report import EvaluationReport
from slim_train.evaluation.run_page import write_run_report

LONG = "a class with a name that is much longer than anybody would like"


def _png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (48, 48), shade).save(buffer, "PNG")
    return buffer.getvalue()


def _run_page(folder: Path, num_classes: int, num_images: int) -> Path:
    """The report of a run whose net is wrong on a third of the images."""
    random = np.random.default_rng(0)
    labels = tuple(f"{LONG} {number}" if number % 3 else f"c{number}" for number in range(num_classes))
    true = random.integers(0, num_classes, num_images)
    taken = np.where(random.random(num_images) < 0.33, random.integers(0, num_classes, num_images), true)
    metrics = ClassificationMetrics(num_classes)
    metrics.update(true, 4.0 * np.eye(num_classes)[taken])
    wrong = np.flatnonzero(true != taken)[:12]
    mistakes = [
        Mistake(_png(int(index) % 256), f"{LONG}/{index}.png", int(true[index]), int(taken[index]), 0.9, _png(200))
        for index in wrong
    ]
    evaluation = EvaluationReport.of(
        metrics.report(), split="test", labels=labels, checkpoint="run/model.ckpt-20", step=20, seconds=1.0,
        accuracy_by={"camera": (Group(LONG, 30, 20), Group("b", 5, 1))},
    )  # fmt: skip
    folder.mkdir()
    (folder / training_folder.CONFIG).write_text("model_name: lenet\ntrain_dir: run\n")
    for step in (10, 20):
        training_folder.add_metrics(folder, {"step": step, "loss": 1 / step})
    page = write_run_report(folder, evaluation, mistakes)
    assert page
    return page


def _inspection_page(folder: Path) -> Path:
    for name in (LONG, "b"):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(3):
            pixels = np.random.default_rng(number).integers(0, 256, (40, 30, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{number}.png")
    st.inspect_dataset(folder / "images", duplicates="bytes", output_dir=str(folder))
    return folder / "inspection.html"


def _comparison_page(folder: Path) -> Path:
    folder.mkdir()
    for number in (1, 2):
        taken = predict(np.eye(2)[np.random.default_rng(number).integers(0, 2, 40)])
        with PredictionsCsv(folder / f"predictions_{number}.csv", (LONG, "dog")) as out:
            out.write([f"{LONG}/{index}.png" for index in range(40)], [index % 2 for index in range(40)], taken)
    files = [str(folder / f"predictions_{number}.csv") for number in (1, 2)]
    st.compare_runs(*files, html_file=str(folder / "page.html"))
    return folder / "page.html"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    return {
        "run": _run_page(folder / "run", 7, 300),
        "run of 3 images": _run_page(folder / "three", 1, 3),
        "run of 1,000 classes": _run_page(folder / "thousand", 1000, 3000),
        "inspection": _inspection_page(folder / "inspection"),
        "comparison": _comparison_page(folder / "comparison"),
    }


NAMES = ("run", "run of 3 images", "run of 1,000 classes", "inspection", "comparison")
# How far the page scrolls sideways, and what is off the screen but neither scrolls nor ends in an ellipsis.
CUT_OFF = """(() => {
  for (const folded of document.querySelectorAll('details')) folded.open = true;
  const right = (element) => element.getBoundingClientRect().right;
  const seen = [...document.querySelectorAll('body *')].filter(
    (element) => right(element) > innerWidth + 1 && !element.closest("[role=region], figcaption"));
  return [document.documentElement.scrollWidth - innerWidth, seen.map((element) => element.outerHTML.slice(0, 200))];
})()"""
UNREAD = "[...document.images].filter((image) => !image.complete || !image.naturalWidth).length"


@pytest.mark.parametrize("name", NAMES)
def test_a_page_asks_for_nothing_says_nothing_and_fits_a_phone(browser: Any, pages: dict[str, Path], name: str) -> None:
    page = browser.new_page()
    for width, dark in ((1200, False), (390, True)):
        page.open(pages[name], width=width, dark=dark)
        assert (page.requests, page.messages) == ([], [])
        assert page.run(UNREAD) == 0
        assert page.run(CUT_OFF) == [0, []]
    assert pages[name].stat().st_size < 5e6


FOCUSED = """(() => {
  const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
  return [[...document.querySelectorAll("*")].indexOf(at), at.tagName, style.outlineStyle,
          parseFloat(style.outlineWidth), box.bottom > 0 && box.top < innerHeight];
})()"""
FOCUSABLE = """[...document.querySelectorAll('summary, a[href], button, input, select, [tabindex="0"]')]
  .filter((element) => element.checkVisibility()).length"""


def _stops(page: Any) -> list[Any]:
    """Press Tab until the page is through, and return what had the focus."""
    stops: list[Any] = []
    for _ in range(200):
        page.press("Tab")
        at = page.run(FOCUSED)
        if at[1] == "BODY" or at in stops:
            break
        stops.append(at)
    return stops


@pytest.mark.parametrize("name", ["run", "inspection", "comparison"])
def test_everything_is_reached_by_tab_with_a_focus_that_is_seen(
    browser: Any, pages: dict[str, Path], name: str
) -> None:
    page = browser.new_page()
    page.open(pages[name])
    stops = _stops(page)
    assert len(stops) == page.run(FOCUSABLE) > 0
    assert {(style, width >= 2, is_on_screen) for _, _, style, width, is_on_screen in stops} == {("solid", True, True)}


def test_what_is_folded_opens_and_closes_by_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page()
    page.open(pages["run"])
    page.run("document.querySelector('details:not([open]) > summary').focus()")
    states = []
    for key in ("Enter", " "):
        page.press(key)
        states.append(page.run("document.activeElement.parentElement.open"))
    assert states == [True, False]


UNPRINTED = """[...document.querySelectorAll('details:not([open]) > :not(summary)')]
  .filter((element) => !element.checkVisibility()).length"""
PAPER = "[matchMedia('print').matches, getComputedStyle(document.documentElement).colorScheme]"


@pytest.mark.parametrize("name", ["run", "run of 1,000 classes"])
def test_paper_is_light_and_shows_what_is_folded(
    browser: Any, pages: dict[str, Path], name: str, tmp_path: Path
) -> None:
    page = browser.new_page()
    page.open(pages[name], dark=True)
    assert page.run(UNPRINTED) > 0
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.run(PAPER) == [True, "light"]
    assert page.run(UNPRINTED) == 0
    page.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
