"""Writes docs/reference/ from the code: the settings, the commands, the bucket's map. ``make reference``."""

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from pneumo_tasks.cli import COMMANDS, EXIT_CODES, load
from pneumo_tasks.settings import RUN_PARAMS, Settings
from pneumo_tasks.storage import layout

FOLDER = Path(__file__).parent / "reference"
MADE = "<!-- Made by docs/generate.py: change the code, then `make reference`. -->\n\n"
# They answer with a part of a key, or with a run's id.
NO_KEYS = {"identifier", "run_key", "run_of", "former_run_key", "check_run_id", "compared_run"}


def pages() -> dict[str, str]:
    """Each page by its file name, as it has to be now."""
    return {
        "settings.md": MADE + settings_page(),
        "commands.md": MADE + commands_page(),
        "bucket.md": MADE + bucket_page(),
    }


def settings_page() -> str:
    lines = [
        "# Settings",
        "",
        "Each is a variable `PNEUMO_<NAME>` in the environment. Those with a ● a run may choose: as a param",
        "of the DAG, or with `pneumo retrain --set name=value`.",
        "",
        *_table("setting", "run", "default", "allowed", "meaning"),
    ]
    schema = Settings.model_json_schema()["properties"]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = "" if default in (None, "", ()) else f"`{default}`"
        chosen = "●" if name in RUN_PARAMS else ""
        lines.append(_row(f"`{name}`", chosen, shown, _allowed(schema[name]), field.description or ""))
    return "\n".join(lines) + "\n"


def _allowed(schema: dict[str, Any]) -> str:
    choices = [choice for choice in schema.get("anyOf", [schema]) if choice.get("type") != "null"]
    return " or ".join(dict.fromkeys(map(_range, choices)))


def _range(choice: dict[str, Any]) -> str:
    if "enum" in choice:
        return ", ".join(f"`{value}`" for value in choice["enum"])
    ends = {"minimum": "≥ ", "exclusiveMinimum": "> ", "maximum": "≤ ", "exclusiveMaximum": "< "}
    limits = [f"{sign}{choice[end]:g}" for end, sign in ends.items() if end in choice]
    kind = {"string": "text", "integer": "whole number", "array": "list", "boolean": "true, false"}
    return " ".join([kind.get(choice.get("type", ""), choice.get("type", "")), *limits]).strip()


def commands_page() -> str:
    lines = ["# Commands", "", *_table("exit code", "meaning")]
    lines += [_row(str(code), said) for code, said in EXIT_CODES.items()]
    for name in COMMANDS:
        lines += _command(load(name), f"pneumo {name}")
    return "\n".join(lines) + "\n"


def _command(command: Any, path: str) -> list[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    usage = " ".join([path, *(f"{one.name.upper()}{'…' if one.nargs == -1 else ''}" for one in arguments)])
    lines = ["", f"## `{usage}`", "", inspect.cleandoc(command.help or "")]
    options = [one for one in command.params if one.param_type_name == "option" and one.name != "verbose"]
    if options:
        lines += ["", *_table("option", "meaning")]
        lines += [_row(f"`{', '.join(one.opts)}`", one.help or "") for one in options]
    for name, inner in getattr(command, "commands", {}).items():
        lines += _command(inner, f"{path} {name}")
    return lines


def bucket_page() -> str:
    lines = [
        "# The bucket's map",
        "",
        "Every key, as `pneumo_tasks/storage/layout.py` names it. A key that ends with `/` is a folder.",
        "",
        *_table("key", "named by", "what it is"),
    ]
    found = []
    for name, function in inspect.getmembers(layout, inspect.isfunction):
        signature = inspect.signature(function)
        of_another = {"key", "folder"} & signature.parameters.keys()  # it is named by who asks
        if name[0] != "_" and name not in NO_KEYS and not of_another and signature.return_annotation is str:
            found.append((_example(function), name, inspect.getdoc(function) or ""))
    for name, value in vars(layout).items():
        if name.isupper() and isinstance(value, str) and not value.endswith("/"):
            found.append((value, name, ""))
    lines += [
        _row(f"`{key}`", f"`{name}`", doc.split("\n\n")[0].replace("\n", " "))
        for key, name, doc in sorted(found)
        if key != layout.COMPARED
    ]
    return "\n".join(lines) + "\n"


def _example(function: Any) -> str:
    """The key for arguments that say what they are; a number is a sequence number or a size."""
    given = {
        name: 0 if parameter.annotation is int else f"X{name.replace('_', '-')}X"
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is inspect.Parameter.empty
    }
    key = re.sub(r"X([a-z0-9-]+)X", lambda found: f"<{found[1]}>", function(**given))
    return re.sub(r"\b0{4,8}\b", "<n>", key)


def _table(*names: str) -> list[str]:
    return [_row(*names), "|" + "---|" * len(names)]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
    sys.stdout.write(f"{FOLDER}: {', '.join(pages())}\n")


if __name__ == "__main__":
    main()
