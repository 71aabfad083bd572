"""A real scheduler, a real store, and a person at a headless Chromium; skipped where one of them is missing.

``SCREENSHOTS=docs/images`` renews the pictures of the documentation.
"""

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.local import airflow_server
from pneumo_tasks.local.airflow_client import AirflowClient
from pneumo_tasks.local.environment_file import read_environment
from pneumo_tasks.local.phantoms import draw_phantoms, write_phantoms
from pneumo_tasks.local.stack import Place, down, up
from pneumo_tasks.local.store_roles import variables_of
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.local_disk import make_folder
from pneumo_tasks.storage.object_store import ObjectStore

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROJECT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
RUN = {
    # this checkout, wherever the package is installed from
    "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'plugins'}",
    "PNEUMO_DEMO": "true",
    "PNEUMO_TEST_SENDERS": "*",
    "PNEUMO_MIN_TEST_PATIENTS": "2",
    "PNEUMO_RECALL_MARGIN": "0.5",
    "PNEUMO_ORIGINAL_RECALL_MARGIN": "0.5",
    "PNEUMO_ORIGINAL_PRECISION_MARGIN": "0.5",
    "PNEUMO_PRECISION_MARGIN": "0.5",
    "PNEUMO_FREE_STEP": "0.5",
    "PNEUMO_MIN_RECALL": "0.5",
    "PNEUMO_MIN_PRECISION": "0.5",
    "PNEUMO_MIN_AUC": "0.5",
    "PNEUMO_BACKBONE_WEIGHTS": "random",
    "PNEUMO_EXPORT_ONNX": "false",
    "PNEUMO_RECIPE": "vgg16-block5",  # it trains epochs, which the form can change
}
PEOPLE = (airflow_server.USERNAME, "ada", "eve")
USERS = {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:admin" for name in PEOPLE)}


@dataclass(frozen=True)
class Installation:
    """The running stack, its bucket, and where the example deploys to."""

    url: str
    client: AirflowClient
    store: ObjectStore
    passwords: dict[str, str]
    served: Path

    def as_person(self, name: str) -> AirflowClient:
        return AirflowClient(self.url, name, self.passwords[name])


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    pytest.importorskip("playwright", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt install chromium")
    project, served = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("served")
    shutil.copytree(PROJECT / "dags", project / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    example = (PROJECT / "docs/examples/deploy_champion.py").read_text()
    (project / "dags/deploy_champion.py").write_text(example.replace("/srv/pneumonia", str(served)))
    place = Place(project)
    passwords = {name: f"{name}-of-this-test" for name in PEOPLE}
    make_folder(place.airflow_home)
    (place.airflow_home / "passwords.json").write_text(json.dumps(passwords))
    stack = up(place, "browser", RUN | USERS)
    try:
        values = read_environment(place.env) | variables_of(place.roles, "pipeline")
        settings = Settings.load(
            {"s3_endpoint": values["PNEUMO_S3_ENDPOINT"], "bucket": "browser",
             "s3_access_key": values["AWS_ACCESS_KEY_ID"], "s3_secret_key": values["AWS_SECRET_ACCESS_KEY"]}
        )  # fmt: skip
        store = ObjectStore.connect(settings)
        write_phantoms(project / "images", draw_phantoms(train_per_label=45, test_per_label=18))
        for name, split in (("train", "train"), ("test", "test")):
            upload_batch(settings, store, project / "images" / name, f"{name}-1", split, synthetic=True)  # type: ignore[arg-type]
        yield Installation(stack.ui, place.client(stack), store, passwords, served)
    finally:
        down(place)


@pytest.fixture(scope="module")
def signed_in(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator["Callable[[str], Page]"]:
    """Opens a browser of its own for each person, who has signed in."""
    from playwright.sync_api import sync_playwright

    contexts = []

    def sign_in(name: str) -> "Page":
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("browser")), executable_path=CHROMIUM, headless=True, args=QUIET,
            viewport={"width": 1400, "height": 900},
        )  # fmt: skip
        contexts.append(context)
        page = context.pages[0] if context.pages else context.new_page()
        page.set_default_timeout(90_000)
        page.goto(installation.url)
        page.fill("input[name=username]", name)
        page.fill("input[name=password]", installation.passwords[name])
        page.click("button[type=submit]")
        page.wait_for_selector("[data-testid=nav-sidebar]")
        return page

    with sync_playwright() as playwright:
        yield sign_in
        for context in contexts:
            context.close()


@pytest.fixture(scope="module")
def page(signed_in: "Callable[[str], Page]") -> "Page":
    """A browser in which admin has signed in."""
    return signed_in(airflow_server.USERNAME)


@pytest.fixture(scope="module")
def picture(page: "Page", tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Takes a screenshot under a name, in a folder of the test's or where ``SCREENSHOTS`` says."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)

    def take(name: str, of: "Page" = page) -> None:
        of.wait_for_timeout(1500)
        shown = Image.open(io.BytesIO(of.screenshot())).convert("RGB")
        shown.quantize(255).save(folder / f"{name}.png", optimize=True)

    return take
