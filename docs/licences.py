"""Prints the licence of each component of a CycloneDX document, a line each. ``make sbom``."""

import json
import sys
from pathlib import Path
from typing import Any


def lines(document: dict[str, Any]) -> list[str]:
    """``name version: licences``, by name; a component that names none says so."""
    found = []
    for component in document.get("components", []):
        named = [_name(entry) for entry in component.get("licenses", [])]
        licences = ", ".join(filter(None, named)) or "not stated"
        found.append(f"{component['name']} {component.get('version', '')}: {licences}")
    return sorted(found, key=str.casefold)


def _name(entry: dict[str, Any]) -> str:
    licence = entry.get("license", {})
    named = entry.get("expression") or licence.get("id") or licence.get("name") or ""
    return str(named).partition("\n")[0][:80]


if __name__ == "__main__":
    print("\n".join(lines(json.loads(Path(sys.argv[1]).read_text()))))
