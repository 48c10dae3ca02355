"""Which classes of ImageNet show cars, and which only nearly: for backgrounds and for images without cars."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

CARS = frozenset(
    [
        "ambulance",
        "beach_wagon",
        "cab",
        "convertible",
        "jeep",
        "limousine",
        "minivan",
        "Model_T",
        "pickup",
        "police_van",
        "racer",
        "sports_car",
        "tow_truck",
    ]
)
"""Passenger cars and what is built on them."""
DETAILS = frozenset(
    [
        "grille",
        "car_wheel",
        "car_mirror",
        "disk_brake",
        "seat_belt",
        "odometer",
    ]
)
"""Parts of cars."""
OTHER_VEHICLES = frozenset(
    [
        "moving_van",
        "minibus",
        "recreational_vehicle",
        "trailer_truck",
        "garbage_truck",
        "fire_engine",
        "school_bus",
        "trolleybus",
        "snowplow",
        "half_track",
        "amphibian",
        "golfcart",
        "go-kart",
        "wreck",
        "streetcar",
        "tank",
        "tractor",
        "forklift",
        "harvester",
        "thresher",
        "lawn_mower",
    ]
)
"""Neither a car nor something else: trucks, buses and machines on wheels."""


def class_of(path: Path) -> str:
    """Return the class in a file's name, `<wnid>_<name>.webp`.

    >>> class_of(Path("n04285008_sports_car.webp"))
    'sports_car'
    """
    return path.stem.partition("_")[2]


def kind_of(path: Path) -> str:
    """Return "cars", "details", "other vehicles" or "no cars" for a photograph of an ImageNet class."""
    name = class_of(path)
    groups = {"cars": CARS, "details": DETAILS, "other vehicles": OTHER_VEHICLES}
    return next((kind for kind, names in groups.items() if name in names), "no cars")


def halves(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Split photographs by turns, in the order of their names: to train with, and to judge with."""
    ordered = sorted(paths)
    return ordered[::2], ordered[1::2]
