"""What the intake costs: images a second against the decoder under it and against the obvious way.

The films are drawn, smooth like radiographs, and stored as JPEG of quality 90 in a local S3 server on the
same cores. The bare decoder works from memory, on all cores, and does nothing else: against it, the
processor time of the server, which is another machine's in production, is taken off ours; the rate
with it is printed beside. The obvious way is one thread: read, PIL, numpy, imagehash, GX on the frame.
"""

import argparse
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from PIL import Image, ImageOps

from benchmarks.dicom_syntaxes import rates
from pneumo_tasks.cores import available_cores
from pneumo_tasks.films.imaging import decode_grey
from pneumo_tasks.intake.containers.archives import Source
from pneumo_tasks.intake.inspecting.inspectors import Assignment, inspect_files
from pneumo_tasks.intake.judging import Known, apply_rules
from pneumo_tasks.intake.rules.expectations import judge
from pneumo_tasks.intake.rules.file_rules import file_rules
from pneumo_tasks.local import seaweedfs
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage.object_store import ObjectStore

_KNOWN = ("file", "label", "patient", "sha256", "pixel_digest", "phash", "batch_id", "digest", "split")
_DISTINCT = 40
_FEW = 64


def film(seed: int, side: int) -> bytes:
    """A JPEG of about the size that a radiograph has at this side."""
    random = np.random.default_rng(seed)
    pixels = np.zeros((side, side))
    for cells in (4, 16, 64):
        layer = Image.fromarray(random.uniform(0, 255, (cells, cells)).astype(np.uint8))
        pixels += np.asarray(layer.resize((side, side), Image.Resampling.BICUBIC), float) / 3
    pixels += random.normal(0, 2, pixels.shape)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 1, 254).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def bare(files: list[bytes]) -> int:
    for data in files:
        decode_grey(data)
    return len(files)


def rate_bare(films: list[bytes], images: int) -> float:
    """The decoder alone, on every core, from memory."""
    cores = available_cores()
    share = [films[n % len(films)] for n in range(images // cores)]
    with ProcessPoolExecutor(cores) as pool:
        list(pool.map(bare, [films[:2]] * cores))
        started = time.perf_counter()
        done = sum(pool.map(bare, [share] * cores))
        return done / (time.perf_counter() - started)


def rates_ours(settings: Settings, server: psutil.Process, sources: list[Source]) -> tuple[float, float]:
    """Films a second, with the server's work and without; what is started once a task is taken off both."""
    few = sources[:_FEW]
    seconds_of_ours(settings, server, few)
    once, once_served = seconds_of_ours(settings, server, few)
    seconds, served = seconds_of_ours(settings, server, sources)
    more, seconds, served = len(sources) - _FEW, seconds - once, served - once_served
    return more / seconds, more / (seconds - served / available_cores())


def seconds_of_ours(settings: Settings, server: psutil.Process, sources: list[Source]) -> tuple[float, float]:
    """(seconds, the server's processor seconds in them) of facts and rules of these files."""
    started, before = time.perf_counter(), processor_seconds(server)
    found = inspect_files(Assignment(settings, "bench", "bench"), sources)
    judge(pd.DataFrame(found).assign(path_fault=None), file_rules(settings), "bench")
    return time.perf_counter() - started, processor_seconds(server) - before


def processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def hand_in(store: ObjectStore, prefix: str, films: list[bytes], images: int) -> list[Source]:
    """As many objects as images, so that no cache of the server helps more than it would."""
    sources = []
    for n in range(images):
        key = f"{prefix}/{n}.jpeg"
        store.put(key, films[n % len(films)])
        sources.append(Source(key, key, size=len(films[n % len(films)])))
    return sources


def rate_obvious(settings: Settings, store: ObjectStore, sources: list[Source]) -> float:
    import imagehash

    started, rows = time.perf_counter(), []
    for source in sources:
        data = store.read(source.key)
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        grey = np.asarray(image.convert("L"))
        colour = np.asarray(image.convert("YCbCr"), float)[..., 1:]
        rows.append(
            {
                "file": source.file, "present": True, "source_fault": None, "path_fault": None,
                "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "format": "JPEG",
                "suffix_fault": None, "mode": "grey", "width": image.width, "height": image.height,
                "pixels": grey.size, "short_side": min(grey.shape), "long_side": max(grey.shape),
                "decode_error": None, "pixel_digest": hashlib.sha256(grey.tobytes()).hexdigest(),
                "grey_mean": grey.mean(), "grey_deviation": grey.std(),
                "clipped_share": np.mean((grey == 0) | (grey == 255)), "colour": np.abs(colour - 128).mean(),
                "phash": str(imagehash.phash(image, hash_size=16)),
                "thumbnail": image.convert("L").resize((32, 32)).tobytes(),
            }
        )  # fmt: skip
    judge(pd.DataFrame(rows), file_rules(settings), "obvious")
    return len(sources) / (time.perf_counter() - started)


def synthetic_facts(rows: int) -> pd.DataFrame:
    """Facts of films that were never drawn, for what the rules alone cost."""
    random = np.random.default_rng(7)
    names = [f"{n:07d}" for n in range(rows)]
    hashes = random.bytes(32 * rows)
    return pd.DataFrame(
        {
            "file": [f"NORMAL/IM-{name}-0001.jpeg" for name in names],
            "label": np.where(random.random(rows) < 0.7, LABELS[1], LABELS[0]),
            "patient": [f"IM:{n // 2}" for n in range(rows)],
            "sha256": [hashlib.sha256(name.encode()).hexdigest() for name in names],
            "pixel_digest": [hashlib.sha256(b"p" + name.encode()).hexdigest() for name in names],
            "phash": [hashes[32 * n : 32 * n + 32] for n in range(rows)],
            "thumbnail": [b"\0" * 1024] * rows, "bytes": random.integers(10_000, 50_000, rows),
            "present": True, "format": "JPEG", "mode": "grey", "pixels": 50176, "short_side": 224,
            "long_side": 224, "width": 224, "height": 224, "grey_mean": random.normal(120, 10, rows),
            "grey_deviation": random.normal(50, 5, rows), "colour": 0.0, "clipped_share": 0.01,
            "chest_likeness": 0.7,
            **dict.fromkeys(("path_fault", "source_fault", "suffix_fault", "decode_error")),
            **dict.fromkeys(("view_fault", "patient_fault")),
        }
    )  # fmt: skip


def seconds_of_rules(settings: Settings, rows: int) -> float:
    facts = synthetic_facts(rows)
    nothing = pd.DataFrame({name: pd.Series(dtype=object) for name in _KNOWN})
    disputed = pd.DataFrame({name: pd.Series(dtype=object) for name in ("pixel_digest", "place", "rule")})
    started = time.perf_counter()
    apply_rules(settings, "train", facts, Known(nothing, disputed, lambda _: [], {}))
    return time.perf_counter() - started


def peak_mib(images: int) -> float:
    """Peak of the task and its workers together for a batch, in a process of its own."""
    command = [sys.executable, __file__, "--peak-of", str(images)]
    process = subprocess.Popen(command, env=os.environ)
    peak = 0
    while process.poll() is None:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        used = 0
        for member in family:
            try:
                used += member.memory_full_info().pss
            except psutil.Error:
                continue
        peak = max(peak, used)
        time.sleep(0.5)
    if process.returncode:
        raise RuntimeError(f"the batch of {images} images ended with {process.returncode}")
    return peak / 2**20


def run_batch(settings: Settings, store: ObjectStore, images: int) -> None:
    """Facts and rules of a batch whose objects are a few films under many names."""
    keys = list(store.list_objects("peak/"))
    sources = [
        Source(f"{n}.jpeg", keys[n % len(keys)].key, size=keys[n % len(keys)].size) for n in range(images)
    ]
    frame = pd.DataFrame(inspect_files(Assignment(settings, "peak", "peak"), sources))
    judge(frame.assign(path_fault=None), file_rules(settings), "peak")


def measure(settings: Settings, store: ObjectStore, server: psutil.Process, quick: bool) -> dict[str, Any]:
    report: dict[str, Any] = {"cores": available_cores()}
    for side, images in ((224, 6000 if quick else 12000), (1500, 2400 if quick else 4800)):
        films = [film(seed, side) for seed in range(_DISTINCT)]
        sources = hand_in(store, f"films/{side}", films, images)
        decoder = rate_bare(films, images)
        ours, alone = rates_ours(settings, server, sources)
        obvious = rate_obvious(settings, store, sources[: images // 12])
        say(
            f"{side} px: decoder {decoder:.0f}/s; ours {ours:.0f}/s ({ours / decoder:.2f}), without the "
            f"server's work {alone:.0f}/s; the obvious way {obvious:.0f}/s"
        )
        report |= {f"vs_decoder_{side}": alone / decoder, f"vs_obvious_{side}": ours / obvious}
    for n in range(_DISTINCT):
        store.put(f"peak/{n}.jpeg", film(n, 224))
    for images in (2000, 20000):
        report[f"peak_mib_{images}"] = peak_mib(images)
        say(f"{images} images: peak {report[f'peak_mib_{images}']:.0f} MiB")
    for rows in (10_000,) if quick else (1_000, 10_000, 30_000):
        say(f"{rows} rows: rules {seconds_of_rules(settings, rows):.1f} s")
    report["rules_100k_s"] = seconds_of_rules(settings, 100_000)
    say(f"100,000 rows: rules {report['rules_100k_s']:.1f} s")
    return report


def say(line: str) -> None:
    sys.stderr.write(line + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under three minutes on two cores")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--dicom", action="store_true", help="films/s of one core, a line a transfer syntax")
    parser.add_argument("--peak-of", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak_of:
        settings = Settings.load()
        run_batch(settings, ObjectStore.connect(settings), given.peak_of)
        return
    if given.dicom:
        for syntax, bits, rate in rates([film(seed, 1500) for seed in range(4)]):
            sys.stdout.write(f"{rate:6.1f} films/s  {bits:2} bits  {syntax.name}\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        server = seaweedfs.start(Path(folder))
        try:
            os.environ.update(
                PNEUMO_S3_ENDPOINT=server.endpoint,
                AWS_ACCESS_KEY_ID=server.access_key,
                AWS_SECRET_ACCESS_KEY=server.secret_key,
            )
            settings = Settings.load()
            store = ObjectStore.connect(settings)
            store.ensure_bucket()
            report = measure(settings, store, psutil.Process(server.pid), given.quick)
        finally:
            os.killpg(server.pid, signal.SIGKILL)
    asked = (
        "vs_decoder_1500", "vs_obvious_224", "vs_obvious_1500",
        "peak_mib_2000", "peak_mib_20000", "rules_100k_s",
    )  # fmt: skip
    if given.json:
        sys.stdout.write(json.dumps({name: round(report[name], 3) for name in asked}) + "\n")


if __name__ == "__main__":
    main()
