"""Results in the order of the images, batches that bad images do not change, and nothing read far ahead."""

import threading

import numpy as np
import pytest
from PIL import Image

from lightcars.errors import DataError
from lightcars.evaluation.bulk.engine import EAGER, EngineChoice, peek, start
from lightcars.evaluation.bulk.stream import READ_AHEAD, classify, to_row
from lightcars.runs.trained import load_trained


@pytest.fixture(scope="module")
def trained(checkpoint):
    return load_trained(checkpoint, "cpu")


def read(number: int, img_channels: int) -> Image.Image:
    """Image 0, 1, 2 ...; each fifth is a bad one."""
    if number % 5 == 4:
        raise DataError(f"image {number} is a bad one.")
    noise = np.random.default_rng(number).integers(0, 256, (40, 30, img_channels), np.uint8)
    return Image.fromarray(noise)


@pytest.mark.parametrize("batch_size", [1, 5, 64])
@pytest.mark.parametrize("workers", [1, 3])
def test_the_order_is_that_of_the_images(trained, batch_size, workers):
    classifier = start(trained, EngineChoice(engine=EAGER, batch_size=batch_size), many=False)
    batches = list(classify(classifier, range(18), read, top=2, workers=workers))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    results = [result for batch in batches for result in batch]
    assert [result.source for result in results] == list(range(18))
    alone = start(trained, EngineChoice(engine=EAGER, batch_size=1), many=False)
    for result in results:
        if result.source % 5 == 4:
            assert (str(result.error), result.guesses) == (f"image {result.source} is a bad one.", ())
            continue
        ((expected,),) = classify(alone, [result.source], read, top=2, workers=1)
        assert result.familiar == expected.familiar
        assert [guess.name for guess in result.guesses] == [guess.name for guess in expected.guesses]
        assert result.guesses[0].probability == pytest.approx(expected.guesses[0].probability, rel=1e-4)


def test_a_batch_of_bad_images_alone(trained):
    classifier = start(trained, EngineChoice(engine=EAGER, batch_size=1), many=False)
    ((result,),) = classify(classifier, [4], read, top=1, workers=1)
    assert to_row(result) == {"image": 4, "error": "image 4 is a bad one."}


def test_no_more_images_are_held_than_a_few_batches(trained):
    taken = 0

    def images():
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield number

    classifier = start(trained, EngineChoice(engine=EAGER, batch_size=4), many=False)
    stream = classify(classifier, images(), read, top=1, workers=2)
    for count in range(1, 6):
        assert len(next(stream)) == 4
        assert taken <= 4 * (count + READ_AHEAD + 1)
    stream.close()
    assert taken < 40
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lightcars-reading")]


def test_peek_gives_all_images_back():
    many, sources = peek(iter(range(2500)))
    assert many
    assert list(sources) == list(range(2500))
    many, sources = peek(range(999))
    assert not many
    assert list(sources) == list(range(999))
