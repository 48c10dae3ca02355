"""Names at a level: probabilities of classes with one name are summed."""

import pytest
import torch

from lightcars.data.car_names import names_at
from lightcars.data.stanford_cars import CLASS_NAMES
from lightcars.evaluation.naming import Naming


def spread(**shares: float) -> torch.Tensor:
    """(1, 196) probabilities: these classes, by a part of their names."""
    found = torch.zeros(1, 196, dtype=torch.float64)
    for part, share in shares.items():
        (index,) = [i for i, name in enumerate(CLASS_NAMES) if part.replace("_", " ") in name]
        found[0, index] = share
    return found


def test_the_year_is_unsure_but_the_model_is_not():
    given = spread(Audi_S4_Sedan_2012=0.3, Audi_S4_Sedan_2007=0.25, BMW_M3_Coupe_2012=0.35, Audi_S6=0.1)
    tops = {level: Naming(CLASS_NAMES, level).guesses(given, 2)[0] for level in ("full", "model", "make")}
    assert [(g.name, g.probability) for g in tops["full"]] == [
        ("BMW M3 Coupe 2012", pytest.approx(0.35)),
        ("Audi S4 Sedan 2012", pytest.approx(0.3)),
    ]
    assert [(g.name, g.probability) for g in tops["model"]] == [
        ("Audi S4", pytest.approx(0.55)),
        ("BMW M3", pytest.approx(0.35)),
    ]
    assert [(g.name, g.probability) for g in tops["make"]] == [
        ("Audi", pytest.approx(0.65)),
        ("BMW", pytest.approx(0.35)),
    ]


@pytest.mark.parametrize(("level", "names"), [("full", 196), ("model", 174), ("make", 49)])
def test_all_names_together_have_all_of_the_probability(level, names):
    naming = Naming(CLASS_NAMES, level)
    summed = naming.summed(torch.rand(3, 196, dtype=torch.float64).softmax(1))
    assert summed.shape == (3, names) == (3, len(naming.names))
    assert summed.sum(1).tolist() == pytest.approx([1, 1, 1])
    assert len(naming.guesses(summed if level == "full" else torch.rand(1, 196), 1000)[0]) == names


def test_names_of_other_sources_have_the_same_levels():
    """Folders and tables write the names without spaces, or in other cases."""
    names = [name.replace(" ", "_").lower() for name in CLASS_NAMES]
    for level in ("model", "make"):
        assert names_at(level, names) == names_at(level, CLASS_NAMES)
