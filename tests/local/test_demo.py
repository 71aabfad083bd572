import subprocess
import sys

CODE = """
import sys
import pneumo_tasks.local.demo
print([name for name in sys.modules if name.startswith(("scipy", "pneumo_tasks.evaluation", "tensorflow"))])
"""


def test_the_demo_starts_the_run_before_it_imports_what_shows_its_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
