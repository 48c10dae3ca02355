"""Pages of the families: complete, up to date, with the registry's counts and every setting explained."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lightcars.models.efficientnet.config import EfficientNetConfig
from lightcars.models.families import FAMILIES
from lightcars.models.ghostnetv3.config import GhostNetV3Config
from lightcars.models.registry import MODELS
from lightcars.weights.catalog import ENTRIES
from scripts import tables
from scripts.zoo import pages, settings

ROOT = Path(__file__).parents[2]
HINT = "run: python -m scripts.tables"


@pytest.mark.parametrize("name", FAMILIES)
def test_a_familys_page_is_up_to_date(name):
    text = tables.FAMILY_PAGES[name].read_text(encoding="utf-8")
    found = [match[2] for match in tables.BLOCK.finditer(text)]
    assert found == list(pages.PAGE_BLOCKS), "a block is missing or repeated"
    assert tables.with_blocks(text, pages.page_blocks(FAMILIES[name])) == text, HINT


def test_the_diagrams_are_up_to_date():
    files = tables.diagram_files()
    assert {path.name for path in tables.DIAGRAMS.iterdir()} == set(files), HINT
    for name, svg in files.items():
        assert (tables.DIAGRAMS / name).read_text(encoding="utf-8") == svg, f"{name}: {HINT}"


def test_every_diagram_is_on_its_page():
    for family, found in pages.all_drawings().items():
        text = tables.FAMILY_PAGES[family].read_text(encoding="utf-8")
        assert all(f"({pages.IMAGES}/{file})" in text for file in found), family


@pytest.mark.parametrize("name", FAMILIES)
def test_a_page_names_paper_models_weights_and_settings(name):
    family = FAMILIES[name]
    text = tables.FAMILY_PAGES[name].read_text(encoding="utf-8")
    number = family.paper.removeprefix("arXiv ")
    assert f"[arXiv {number}](https://arxiv.org/abs/{number})" in text
    for variant, entry in family.variants.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{family.registered(variant)}`"))
        assert f"{entry.num_params:,}" in row
        assert f"{entry.flops:,}" in row
    for entry in ENTRIES:
        assert (f"| `{entry.tag}` | `{entry.model}` |" in text) == (
            entry.model in map(family.registered, family.variants)
        )
    for setting in family.config.__dataclass_fields__:
        assert f"\n| `{setting}` | " in text


def test_merged_counts_are_beside_those_of_the_training_form():
    table = pages.model_rows(FAMILIES["repghostnet"])
    row = next(line for line in table.splitlines() if line.startswith("| `repghostnet_050`"))
    assert "2,313,968, merged 2,306,528" in row
    assert "merged" not in pages.model_rows(FAMILIES["ghostnetv2"])


def test_an_accuracy_at_another_resolution_says_so():
    table = pages.model_rows(FAMILIES["efficientnetv2"])
    assert "| `efficientnetv2_b0` | 224 px |" in table
    assert "76.88 % at 192 px" in table
    assert "84.228 % |" in table  # of s, at its own 384 pixels


def test_a_new_familys_page_has_all_blocks_and_an_example_that_runs():
    text = pages.skeleton(FAMILIES["squeezenet"])
    assert [match[2] for match in tables.BLOCK.finditer(text)] == list(pages.PAGE_BLOCKS)
    example = text.partition("```python\n")[2].partition("```")[0]
    made: dict[str, object] = {}
    exec(example, made)
    assert made["model"].config.num_classes == 196


def test_the_readme_counts_models_and_families():
    counted = f"{len(MODELS)} models of {len(FAMILIES)} families"
    for page in (ROOT / "README.md", ROOT / "docs" / "index.md"):
        assert counted in page.read_text(encoding="utf-8"), page


def test_settings_have_the_defaults_and_meanings_of_the_config():
    found = {setting.name: setting for setting in settings.settings_of(EfficientNetConfig)}
    assert list(found) == list(EfficientNetConfig.__dataclass_fields__)
    assert found["padding"].default == '`"symmetric"`'
    assert found["stages"].default == "7 rows of `MBConvStage`"
    assert found["width"].meaning == "multiplier of channels."
    assert found["fixed_ends"].meaning.endswith("stay unscaled, as in EfficientNet-Lite."), "its second line"


def test_settings_that_share_a_line_have_its_meaning():
    class Config:
        """Two settings.

        Attributes:
            width, depth: multipliers of channels
                and blocks.
        """

    assert settings.attributes_of(Config) == dict.fromkeys(
        ("width", "depth"), "multipliers of channels and blocks."
    )


def test_settings_that_a_base_class_explains_have_its_meaning():
    found = settings.attributes_of(GhostNetV3Config)
    assert found["out_channels"] == "number of channels before the classifier."
    assert not any(meaning.startswith("as in") for meaning in found.values())


def test_a_setting_that_no_docstring_explains_is_an_error():
    @dataclass(frozen=True)
    class Unexplained:
        """Everything.

        Attributes:
            known: of old.
        """

        known: int = 1
        other: int = field(default=2)

    with pytest.raises(ValueError, match="does not explain other"):
        settings.settings_of(Unexplained)


def test_changed_settings_are_keyword_arguments():
    config = replace(
        EfficientNetConfig(),
        width=1.2,
        padding="same",
        resolution=300,
        stages=EfficientNetConfig().stages[:1],
    )
    assert settings.changed(config) == ["`width=1.2`", '`padding="same"`', "its own `stages`"]
