"""The package as its next release might be: another version, and one more column in a table."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import conversion_relay
from conversion_relay import __version__
from conversion_relay.service.store.postgres.schema import migrations

VERSION: Final = "99.0.0"
SCHEMA: Final = migrations()[-1].version + 1
_PACKAGE: Final = Path(conversion_relay.__file__).parent
_PRESETS: Final = _PACKAGE.parents[1] / "presets"
_SCRIPT: Final = """
ALTER TABLE events ADD COLUMN of_the_next_release text;
ALTER TABLE deliveries ADD COLUMN of_the_next_release integer NOT NULL DEFAULT 0;
"""


def install(folder: Path) -> dict[str, str]:
    """Puts it there; gives the environment in which Python finds it before this one."""
    package = folder / _PACKAGE.name
    shutil.copytree(_PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    if not (package / "presets").exists():
        shutil.copytree(_PRESETS, package / "presets")
    top = package / "__init__.py"
    text = top.read_text("utf-8")
    assert f'"{__version__}"' in text
    top.write_text(text.replace(f'"{__version__}"', f'"{VERSION}"'), "utf-8")
    scripts = package / "service" / "store" / "postgres" / "migrations"
    (scripts / f"{SCHEMA:04}_next_release.sql").write_text(_SCRIPT, "utf-8")
    return {"PYTHONPATH": str(folder)}
