"""Near duplicates among many films: the answers, and what they may cost."""

import subprocess
import sys

import numpy as np
import pandas as pd

from pneumo_tasks.intake.rules.near_duplicates import near_duplicates

_MANY = """
import numpy as np, pandas as pd
from pneumo_tasks.intake.rules.near_duplicates import near_duplicates
n = 20_000
noise = np.random.default_rng(1)
films = pd.DataFrame({"file": [f"{i:06d}" for i in range(n)], "phash": [bytes(32)] * n,
                      "thumbnail": [noise.integers(0, 255, 1024, np.uint8).tobytes()] * n})
known = pd.DataFrame({"batch_id": [], "file": [], "phash": []})
found = near_duplicates(films, known, 32, lambda rows: [])
assert found.isna().sum() == 1
again = near_duplicates(films, films.assign(batch_id="w1"), 32, lambda rows: list(rows["thumbnail"]))
assert again.notna().all()
# VmHWM, for ru_maxrss keeps the peak of the process that this one was forked from.
print(int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024)
"""


def test_twenty_thousand_films_of_one_hash_stay_below_a_gibibyte() -> None:
    done = subprocess.run([sys.executable, "-c", _MANY], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2**30


def test_a_film_is_named_with_the_first_one_that_it_repeats() -> None:
    noise = np.random.default_rng(2)
    one, other = (noise.integers(0, 255, 1024, np.uint8).tobytes() for _ in range(2))
    films = pd.DataFrame(
        {"file": ["a", "b", "c", "d"], "phash": [bytes(32)] * 4, "thumbnail": [one, other, one, other]}
    )
    known = pd.DataFrame({"batch_id": ["w1"], "file": ["x"], "phash": [b"\1" + bytes(31)]})
    found = near_duplicates(films, known, 32, lambda rows: [other] * len(rows))
    assert list(found.where(found.notna(), None)) == [
        None,
        "w1/x (1 of 256 bits differ)",
        "a (0 of 256 bits differ)",
        "w1/x (1 of 256 bits differ)",
    ]
