"""The browser makes the same boxes of a car finder's cells as `lightcars predict`."""

import numpy as np
import pytest

from lightcars.models.boxes import areas, separate, snap, to_pixel_box

SCRIPT = """
async ([values, least, size]) => {
  const { carBoxes } = await import("./app/boxes.js");
  return carBoxes(Float32Array.from(values), least, size);
}
"""


@pytest.mark.parametrize("seed", range(4))
def test_boxes_are_those_of_predict(browser, served, seed):
    generator = np.random.default_rng(seed)
    centers = generator.uniform(0.2, 0.8, (3, 2))[generator.integers(0, 3, 60)]
    sides = generator.uniform(0.1, 0.4, (60, 2))
    noise = generator.normal(0, 0.02, (60, 4))
    boxes = (np.concatenate((centers - sides, centers + sides), axis=1) + noise).clip(0, 1)
    cells = np.concatenate((generator.uniform(0, 1, (60, 1)), boxes), axis=1).astype(np.float32)
    size = {"width": 641, "height": 427}
    found = snap(separate(cells, least_score=0.5)[:, 1:])
    order = (-areas(found)).argsort(kind="stable")
    expected = [to_pixel_box(found[row], (641, 427)) for row in order]
    page = browser.new_page()
    page.goto(served)
    got = page.evaluate(SCRIPT, [cells.ravel().tolist(), 0.5, size])
    page.close()
    assert len(expected) > 1
    assert np.abs(np.array(got) - np.array(expected)).max() <= 1  # float32 there, float64 here


def test_nothing_is_found_below_the_least_score(browser, served):
    page = browser.new_page()
    page.goto(served)
    assert page.evaluate(SCRIPT, [[0.49, 0.1, 0.1, 0.9, 0.9], 0.5, {"width": 64, "height": 48}]) == []
    page.close()
