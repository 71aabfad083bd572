"""Model files that somebody made to end or to fill the process that opens them.

``python -m tests.security.hostile_models FILE BYTES`` loads one as we do, with so much memory to go, and
prints the name of what it ended in.
"""

import json
import resource
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.evaluation.story import save_model

LIMIT = 3 * 2**29  # 1.5 GB beyond what the libraries take: a model of ours and its copy fit


def _parts(folder: Path) -> dict[str, bytes]:
    save_model(folder / "sound.keras", 12.0, 0.0, -6.0)
    with zipfile.ZipFile(folder / "sound.keras") as file:
        return {name: file.read(name) for name in file.namelist()}


def _written(path: Path, parts: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, body in parts.items():
            file.writestr(name, body)
    return path


def _configured(change: Callable[[Any], object]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    def made(parts: dict[str, bytes]) -> dict[str, bytes]:
        config = json.loads(parts["config.json"])
        change(config)
        return {**parts, "config.json": json.dumps(config).encode()}

    return made


def _nested(config: dict[str, Any]) -> None:
    """A model in a model, a hundred and fifty times."""
    inner = json.loads(json.dumps(config))
    for _ in range(150):
        inner = {**config, "config": {**config["config"], "layers": [{"module": "keras", **inner}]}}
    config.update(inner)


def _dense(units: object) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Dense":
                layer["config"]["units"] = units

    return change


def _cut(parts: dict[str, bytes]) -> dict[str, bytes]:
    return {**parts, "model.weights.h5": parts["model.weights.h5"][:-2000]}


def _broken(parts: dict[str, bytes]) -> dict[str, bytes]:
    body = bytearray(parts["model.weights.h5"])
    for at in range(500, len(body), 97):
        body[at] ^= 0xFF
    return {**parts, "model.weights.h5": bytes(body)}


MADE: dict[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "a document of a hundred thousand levels": lambda parts: {**parts, "config.json": b"[" * 100_000},
    "a document of objects, as deep": lambda parts: {
        **parts, "config.json": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    },
    "a document of ten million lists": lambda parts: {
        **parts, "config.json": b"[" + b"[],[]," * 2_700_000 + b"[]]",
    },
    "a document of 17 MB": lambda parts: {**parts, "config.json": b'"' + b"a" * (17 * 2**20) + b'"'},
    "a model in a model, a hundred and fifty times": _configured(_nested),
    "a layer of four billion units": _configured(_dense(4_000_000_000)),
    "a layer of a negative number of units": _configured(_dense(-1)),
    "a layer of units that are a list": _configured(_dense([1, [2]])),
    "weights that are cut": _cut,
    "weights with broken bytes": _broken,
    "no weights": lambda parts: {name: body for name, body in parts.items() if not name.endswith(".h5")},
    "a hundred members": lambda parts: {**parts, **{f"assets/{n}": b"" for n in range(100)}},
    "three gigabytes of zeros": lambda parts: {**parts, "assets/zeros": b"\0" * (3 * 2**30 // 4)},
}  # fmt: skip


def make(name: str, folder: Path) -> Path:
    parts = MADE[name](_parts(folder))
    if name == "three gigabytes of zeros":  # in four members, so that the test itself needs less
        parts |= {f"assets/zeros{n}": parts["assets/zeros"] for n in range(3)}
    return _written(folder / "hostile.keras", parts)


def main() -> None:
    from pneumo_tasks.errors import PneumoError
    from pneumo_tasks.training.hardware import settled_keras
    from pneumo_tasks.training.model.artefact import load_artefact

    settled_keras().ops.zeros(1)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        load_artefact(Path(sys.argv[1]))
    except PneumoError as error:
        print(type(error).__name__, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    print("loaded")


if __name__ == "__main__":
    main()
