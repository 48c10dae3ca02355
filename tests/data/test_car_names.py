"""Makes and models: every class of Stanford Cars has the right ones."""

from collections import Counter

import pytest

from lightcars.data.car_names import is_stanford_cars, make_of, model_of, names_at
from lightcars.data.class_matching import folder_name
from lightcars.data.stanford_cars import CLASS_NAMES
from lightcars.errors import ConfigError, InputError

MAKES = """AM General, Acura, Aston Martin, Audi, BMW, Bentley, Bugatti, Buick, Cadillac, Chevrolet, Chrysler,
Daewoo, Dodge, Eagle, FIAT, Ferrari, Fisker, Ford, GMC, Geo, HUMMER, Honda, Hyundai, Infiniti,
Isuzu, Jaguar, Jeep, Lamborghini, Land Rover, Lincoln, MINI, Maybach, Mazda, McLaren, Mercedes-Benz,
Mitsubishi, Nissan, Plymouth, Porsche, Ram, Rolls-Royce, Scion, Spyker, Suzuki, Tesla, Toyota,
Volkswagen, Volvo, smart"""


def test_there_are_49_makes():
    assert sorted({make_of(name) for name in CLASS_NAMES}) == MAKES.replace("\n", " ").split(", ")


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("Audi S4 Sedan 2007", "Audi S4"),
        ("Ram C/V Cargo Van Minivan 2012", "Ram C/V"),
        ("Ford E-Series Wagon Van 2012", "Ford E-Series"),
        ("Bentley Continental Supersports Conv. Convertible 2012", "Bentley Continental Supersports"),
        ("Chevrolet Silverado 1500 Hybrid Crew Cab 2012", "Chevrolet Silverado 1500 Hybrid"),
        ("Ford Ranger SuperCab 2011", "Ford Ranger"),
        ("Land Rover Range Rover SUV 2012", "Land Rover Range Rover"),
        ("Infiniti G Coupe IPL 2012", "Infiniti G Coupe IPL"),
        ("Chevrolet Cobalt SS 2010", "Chevrolet Cobalt SS"),
    ],
)
def test_models(name, model):
    assert name in CLASS_NAMES
    assert model_of(name) == model


def test_models_begin_with_the_make_and_have_something_behind_it():
    for name in CLASS_NAMES:
        model, make = model_of(name), make_of(name)
        assert name.startswith(model + " ")
        assert model.removeprefix(make + " ") not in ("", model)


def test_22_models_have_two_classes():
    assert Counter(Counter(map(model_of, CLASS_NAMES)).values()) == {1: 152, 2: 22}


def test_names_of_folders_will_do():
    folders = [folder_name(name) for name in CLASS_NAMES]
    assert is_stanford_cars(folders)
    assert names_at("make", folders) == names_at("make", CLASS_NAMES)


def test_other_classes_have_their_full_names_only():
    assert names_at("full", ["cat", "dog"]) == ["cat", "dog"]
    with pytest.raises(InputError, match="196 classes of Stanford Cars"):
        names_at("make", ["cat", "dog"])


def test_unknown_level():
    with pytest.raises(ConfigError, match="level"):
        names_at("year", CLASS_NAMES)  # type: ignore[arg-type]
