"""README, pages and decisions agree with the code, and with each other."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.main import get_command

from architecture.pages import ROOT, blocks, column, page, plain, prose, section, table, tables
from conversion_relay import __version__, cli, errors
from conversion_relay.service.configuration import load
from conversion_relay.service.environment import CONFIG_VARIABLE, VARIABLES, Variable
from conversion_relay.service.preset_files import read_preset_set
from conversion_relay.service.schema import schema_text
from conversion_relay.service.settings import (
    GROUPS,
    Configuration,
    DestinationSettings,
    ServiceSettings,
    SharingSettings,
)

README = page("README.md")
CONFIGURATION = page("docs/configuration.md")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
MODELS: dict[str, type[BaseModel]] = {**GROUPS}
LONGEST_FILE_LINES = 300
LONGEST_FUNCTION_LINES = 30
TABLES = {"fields.py"}


def _setting(variable: Variable) -> FieldInfo:
    return MODELS[variable.target[0]].model_fields[variable.target[-1]]


def _default(variable: Variable) -> str:
    """The default as the README writes it."""
    if not variable.target:
        return "none"
    field = _setting(variable)
    if field.is_required():
        return "**required**"
    value = field.default
    if value is None or value == ():
        return "none"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, tuple):
        value = ", ".join(value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_the_configuration_table_is_the_code() -> None:
    expected = [
        [f"`{variable.name}`", variable.meaning, _default(variable)]
        for variable in (*VARIABLES, CONFIG_VARIABLE)
    ]
    assert table(README, "## Configuration") == expected


IN_THE_FILE_ONLY = {
    *(("sources", name) for name in ("destinations", "rate_limit", "visitor_ip")),
    *(("sources", name) for name in ("match_keys", "match_keys_retention")),
    *(("destinations", name) for name in ("consent_categories", "consent_when_missing")),
    ("destinations", "sharing"),
}
"""One source and one destination need no routes; what is shared deserves a file."""


def test_every_other_setting_has_its_variable() -> None:
    known = {(variable.target[0], variable.target[-1]) for variable in VARIABLES}
    settings = {(kind, name) for kind, model in MODELS.items() for name in model.model_fields}
    assert known == settings - IN_THE_FILE_ONLY


def test_every_setting_says_what_it_is_for() -> None:
    models: list[type[BaseModel]] = [*MODELS.values(), SharingSettings]
    for model in models:
        for name, field in model.model_fields.items():
            assert field.description, name


def test_the_toml_example_loads_and_names_every_setting(tmp_path: Path) -> None:
    (text,) = blocks(section(CONFIGURATION, "## The TOML file"), "toml")
    tree = tomllib.loads(text)
    for kind in ("sources", "destinations"):
        named = {name for settings in tree[kind].values() for name in settings}
        assert named == set(MODELS[kind].model_fields), kind
    sharing = tree["destinations"]["eu"]["sharing"]
    assert set(sharing) == set(SharingSettings.model_fields)
    assert set(sharing) == set(column(table(CONFIGURATION, "## Sharing")))
    for kind in ("service", "alerts", "canary"):
        assert set(tree[kind]) == set(MODELS[kind].model_fields), kind
    secrets = re.findall(r'"env:(\w+)"', text)
    for name in re.findall(r'"file:([^"]+)"', text):
        inside = tmp_path / Path(name).name
        inside.write_text(f"secret-of-{inside.name}", "utf-8")
        text = text.replace(f"file:{name}", f"file:{inside}")
    file = tmp_path / "relay.toml"
    file.write_text(text, "utf-8")
    environment = {name: f"http://{name}" for name in secrets}
    environment["SMTP_URL"] = "smtp://mail.example:587"
    configuration = load(environment, file)
    assert isinstance(configuration, Configuration)
    assert set(configuration.destinations) == set(tree["destinations"])


def test_the_limits_of_the_page_are_the_defaults() -> None:
    units = {"MiB": 1024 * 1024, "KiB": 1024}
    for name, default, _ in table(CONFIGURATION, "## What each limit is for"):
        number, _, unit = default.replace(",", "").partition(" ")
        value = ServiceSettings.model_fields[plain(name)].default
        assert value == int(number) * units.get(unit, 1), name


def test_every_limit_is_on_the_page() -> None:
    named = {plain(name) for name, *_ in table(CONFIGURATION, "## What each limit is for")}
    limits = {name for name in ServiceSettings.model_fields if name.startswith("max_")}
    assert named == limits | {"receive_seconds"}


def test_the_schema_of_the_pages_is_the_code() -> None:
    assert page("docs/relay.schema.json") == schema_text()


def test_the_preset_table_is_the_default_preset_file() -> None:
    default = DestinationSettings.model_fields["presets"].default
    definitions = read_preset_set(default, ROOT / "presets")
    expected = [[one.name, f"`{one.subscribe}`", one.mapping["event"]] for one in definitions]
    assert table(README, "## Presets") == expected
    for file in (ROOT / "presets").glob("*.json"):
        assert f"`{file.stem}`" in README


def test_the_tree_in_the_docstring_of_errors_is_the_code() -> None:
    drawing = str(errors.__doc__).partition("::")[2]
    drawn = re.findall(r"^[ │├└─]*(\w+)(?:  |$)", drawing, re.MULTILINE)
    found = _tree(errors.RelayError)
    assert drawn == found
    assert set(found) == {one.__name__ for one in _classes(errors) if issubclass(one, Exception)}


def _tree(root: type[Exception]) -> list[str]:
    return [root.__name__, *(name for one in root.__subclasses__() for name in _tree(one))]


def _classes(module: ModuleType) -> list[type]:
    return [one for _, one in inspect.getmembers(module, inspect.isclass) if _own(one, module)]


def _own(one: type, module: ModuleType) -> bool:
    return one.__module__ == module.__name__


def test_every_command_that_is_mentioned_exists() -> None:
    commands = set(vars(get_command(cli.application))["commands"])
    text = "\n".join(file.read_text("utf-8") for file in PAGES)
    mentioned = set(re.findall(r"(?:`|\n|\| )conversion-relay ([\w-]+)", text))
    assert mentioned <= commands
    assert commands <= mentioned | set(re.findall(r"`([\w-]+)`", page("CHANGELOG.md")))


def test_every_target_of_make_that_is_mentioned_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", page("Makefile"), re.MULTILINE))
    text = "\n".join(file.read_text("utf-8") for file in PAGES)
    assert set(re.findall(r"(?:`|^)make ([\w-]+)", text, re.MULTILINE)) <= targets
    assert set(re.findall(r"^make ([\w-]+)", page(".ci/run"), re.MULTILINE)) <= targets


def test_the_changelog_has_a_place_for_what_comes() -> None:
    versions = re.findall(r"^## \[(.+?)\]", page("CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert tomllib.loads(page("pyproject.toml"))["project"]["version"] == __version__


def test_the_licence_is_mit() -> None:
    assert page("LICENSE").startswith("MIT License")
    assert tomllib.loads(page("pyproject.toml"))["project"]["license"] == "MIT"
    assert README.rstrip().endswith("MIT licensed.")


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_every_link_leads_somewhere(file: Path) -> None:
    text = prose(file.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if ":" in path:
            continue
        other = (file.parent / path).resolve() if path else file
        assert other.exists(), target
        if anchor:
            assert anchor in _anchors(other), target


def _anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(file.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_reachable_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[\w/.-]+)\)", README))
    for file in PAGES[2:]:
        path = file.relative_to(ROOT)
        assert {str(path), str(path.parent)} & linked, path


@pytest.mark.parametrize("file", DECISIONS, ids=lambda file: file.stem)
def test_a_decision_says_why_what_and_at_which_price(file: Path) -> None:
    number, text = file.name[:4], file.read_text("utf-8")
    assert text.startswith(f"# {int(number)}. ")
    places = [text.index(f"**{word}.**") for word in ("Context", "Choice", "Price")]
    assert places == sorted(places)


def test_decisions_are_numbered_one_by_one() -> None:
    assert [int(file.name[:4]) for file in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_the_tree_of_the_architecture_page_is_the_code() -> None:
    (tree,) = blocks(page("docs/architecture.md"), "")[:1]
    drawn = set(re.findall(r"[\w/]+\.py", tree))
    package = ROOT / "src" / "conversion_relay"
    for name in drawn:
        assert list(package.rglob(name)), name
    for path in column(tables(page("docs/architecture.md"))[0], 2):
        for file in re.findall(r"`?([\w/]+\.py)`?", path):
            assert (package / file).exists(), file


def _text_files() -> Iterator[Path]:
    for name in (
        *("src", "tests", "bench", "deploy", "docs", "presets", ".ci"),
        *("README.md", "CHANGELOG.md", "LICENSE", "Makefile", "Dockerfile", "compose.yaml"),
        *("pyproject.toml", "requirements.lock", "requirements-dev.lock", ".dockerignore"),
    ):
        path = ROOT / name
        yield from [path] if path.is_file() else (one for one in path.rglob("*") if one.is_file())


_FOREIGN = re.compile(
    r"(?<![\w.])/(?:work|root|home)/|/tmp/\w*oracle|pypi[\w.-]*/simple"
    r"|--(?:extra-)?index-url|registry\.npmjs"
)


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    for file in _text_files():
        if file.suffix == ".pyc" or file == Path(__file__):
            continue
        found = _FOREIGN.search(file.read_text("utf-8"))
        assert found is None, f"{file.relative_to(ROOT)}: {found}"


SOURCES = sorted((ROOT / "src").rglob("*.py"))


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT / "src")))
def test_a_file_is_short_and_says_what_it_is(file: Path) -> None:
    text = file.read_text("utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says what it is"
    if file.name in TABLES:
        return
    assert len(text.splitlines()) <= LONGEST_FILE_LINES
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert _body_lines(node) <= LONGEST_FUNCTION_LINES, node.name


def _body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function below its signature and docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
