"""No module imports itself through others, lazy and type-only imports included."""

import grimp
import pytest


def cycles(graph: grimp.ImportGraph) -> list[set[str]]:
    """Return the sets of modules that import each other, directly or not."""
    left = set(graph.modules)
    while ends := {
        module
        for module in left
        if not graph.find_modules_directly_imported_by(module) & left
        or not graph.find_modules_that_directly_import(module) & left
    }:
        left -= ends
    found = []
    while left:
        module = min(left)
        mutual = graph.find_upstream_modules(module) & graph.find_downstream_modules(module)
        if mutual:
            found.append({module, *mutual})
        left -= {module, *mutual}
    return found


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("lightcars", exclude_type_checking_imports=False)


def test_no_module_imports_itself_through_others(graph):
    assert len(graph.modules) > 100
    assert [sorted(cycle) for cycle in cycles(graph)] == []


def test_a_cycle_is_found_and_named(graph):
    low, high = "lightcars.errors", "lightcars.training.job"
    assert high in graph.find_downstream_modules(low)
    graph.add_import(importer=low, imported=high)
    assert [{low, high} <= cycle for cycle in cycles(graph)] == [True]
    graph.remove_import(importer=low, imported=high)


def test_separate_cycles_are_told_apart():
    graph = grimp.ImportGraph()
    for importer, imported in ("ab", "ba", "bc", "cd", "dc", "de"):
        graph.add_import(importer=importer, imported=imported)
    assert cycles(graph) == [{"a", "b"}, {"c", "d"}]
