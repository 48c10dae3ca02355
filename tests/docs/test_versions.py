"""The version is the same wherever it is stated, and deprecated names go when the documentation says."""

import re
from datetime import date
from pathlib import Path

from lightcars import __version__
from lightcars.renamed import GONE_IN

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
RELEASES = re.findall(r"^## (\S+) - (\S+)$", CHANGELOG, re.MULTILINE)
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
"""Keep a Changelog's, in its order."""


def parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_the_changelog_begins_with_this_version():
    assert RELEASES[0][0] == __version__


def test_releases_are_in_order():
    assert sorted(RELEASES, key=lambda release: parts(release[0]), reverse=True) == RELEASES
    dates = [date.fromisoformat(day) for _, day in RELEASES]
    assert dates == sorted(dates, reverse=True)
    assert len(re.findall(r"^## ", CHANGELOG, re.MULTILINE)) == len(RELEASES)


def test_changes_are_grouped_as_keep_a_changelog_does():
    for release in re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.*)$", release, re.MULTILINE)
        assert kinds == [kind for kind in KINDS if kind in kinds]


def test_the_citation_has_this_version_and_its_date():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r'^version: (\S+)$|^date-released: "(\S+)"$', citation, re.MULTILINE) == [
        (__version__, ""),
        ("", RELEASES[0][1]),
    ]


def test_old_names_stay_for_one_minor_version():
    major, minor, _ = parts(__version__)
    assert parts(GONE_IN) == (major, minor + 1, 0), "remove the old names, or move GONE_IN with new ones"
    deprecated = re.search(r"^### Deprecated\n\n(.*)$", CHANGELOG, re.MULTILINE)
    assert deprecated is not None
    assert f"until {GONE_IN}" in deprecated[1]
    for page in ("deploy.md", "versions.md"):
        assert f"until {GONE_IN}" in (ROOT / "docs" / page).read_text()
