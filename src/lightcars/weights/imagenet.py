"""The 1,000 classes of ImageNet-1k: WordNet IDs and names, in the order of the outputs. No torch.

Names: torchvision's (`torchvision.models._meta`, BSD 3-Clause). WordNet IDs: timm's list of the synsets of
ILSVRC 2012 (`imagenet_synsets.txt`, Apache 2.0).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

IMAGENET_CLASSES = 1000


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Return the 1,000 names in the order of the outputs, as torchvision has them.

    >>> imagenet_classes()[0]
    'tench'
    """
    return tuple(name for _, name in _rows())


@cache
def imagenet_ids() -> tuple[str, ...]:
    """Return the WordNet IDs in the order of the outputs: the names of ImageNet's own class folders.

    >>> imagenet_ids()[0]
    'n01440764'
    """
    return tuple(wordnet_id for wordnet_id, _ in _rows())


@cache
def _rows() -> tuple[tuple[str, str], ...]:
    text = files("lightcars.weights").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple((line[:9], line[10:]) for line in text.splitlines())
