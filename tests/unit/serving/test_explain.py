"""Where the net looks, over HTTP."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slim_train.errors import UsageError
from slim_train.inference.predictor import load_predictor
from slim_train.serving.errors import RequestError
from slim_train.serving.servable import ServedPredictor, ToExplain


def test_a_batch_may_hold_images_to_classify_and_images_to_explain(
    training_folder: Path, photo: Callable[..., bytes]
) -> None:
    with load_predictor(training_folder) as predictor:
        served = ServedPredictor(predictor, 50)
        assert served.describe()["explains"]
        items = [served.prepare(photo(seed=1)), served.prepare(ToExplain(photo(seed=2))), served.prepare(photo(seed=2))]
        first, heat, second = served.run(items)
        np.testing.assert_allclose([first, second], predictor.predict([photo(seed=1), photo(seed=2)]), atol=1e-5)
        assert Image.open(io.BytesIO(heat)).size == (224, 224)
        with pytest.raises(RequestError, match="cannot be read"):
            served.prepare(ToExplain(b"no image"))


def test_warming_up_builds_what_explaining_needs(training_folder: Path) -> None:
    with load_predictor(training_folder) as predictor:
        ServedPredictor(predictor, 50).warm_up(1)
        graph = predictor._model.session.graph
        before = len(graph.get_operations())
        predictor.heat(np.zeros((1, 64, 64, 3), np.float32), [0])
        assert len(graph.get_operations()) == before


def test_a_model_that_turns_out_to_have_no_gradient_says_that_it_cannot_explain(
    training_folder: Path, photo: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def heat(batch: Any, classes: Any) -> Any:
        raise UsageError("--explain: pets has an op without a gradient: TopK")

    with load_predictor(training_folder) as predictor:
        monkeypatch.setattr(predictor, "heat", heat)
        served = ServedPredictor(predictor, 50)
        served.warm_up(1)
        assert not served.describe()["explains"]
        with pytest.raises(RequestError, match="cannot show where it looks"):
            served.prepare(ToExplain(photo()))


@pytest.fixture
def explaining(serve: Callable[..., Any], training_folder: Path) -> Any:
    """A client of an application whose model, pets, has a feature map."""
    return serve(servable=lambda: ServedPredictor(load_predictor(training_folder), 50)).client


def test_the_answer_is_a_picture(explaining: Any, photo: Callable[..., bytes]) -> None:
    for path in ("/explain", "/explain/pets"):
        response = explaining.post(path, content=photo())
        assert (response.status_code, response.headers["content-type"]) == (200, "image/jpeg")
        assert Image.open(io.BytesIO(response.content)).size == (224, 224)
    assert explaining.get("/models").json()[0]["explains"]


def test_several_pictures_none_and_what_is_no_picture_are_refused(explaining: Any, photo: Callable[..., bytes]) -> None:
    files = [("image", ("a.jpg", photo())), ("image", ("b.jpg", photo()))]
    assert explaining.post("/explain", files=files).json() == {"error": "One image at a time is explained."}
    assert "There is no image" in explaining.post("/explain").json()["error"]
    assert "cannot be read" in explaining.post("/explain", content=b"no image").json()["error"]


def test_a_model_that_cannot_is_refused(client: Any) -> None:
    response = client.post("/explain", content=b"cat")
    assert response.status_code == 400
    assert response.json()["error"].startswith("Model pets cannot show where it looks: it has no feature map")
