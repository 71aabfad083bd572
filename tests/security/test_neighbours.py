"""What another user of the machine can do with what the demo starts: nothing without credentials."""

import json
import stat
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from pneumo_tasks.errors import BadConfiguration, DiskUnusable
from pneumo_tasks.local import airflow_server, seaweedfs
from pneumo_tasks.promotion.registry.change_request import person
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.local_disk import make_folder
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.features.local_cache import LocalCache


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("neighbour") / "s3"
    started = seaweedfs.start(folder)
    yield folder, started
    process = psutil.Process(started.pid)
    files = seaweedfs.socket_files(started.pid)
    process.kill()
    process.wait(20)
    for file in files:
        file.unlink(missing_ok=True)


def listening(pid: int) -> list[tuple[str, int]]:
    found = psutil.Process(pid).net_connections("inet")
    return [(one.laddr.ip, one.laddr.port) for one in found if one.status == psutil.CONN_LISTEN]


def test_the_store_of_the_demo_listens_on_loopback_alone(server) -> None:
    assert {address for address, _ in listening(server[1].pid)} == {"127.0.0.1"}


def test_no_port_of_the_store_gives_or_takes_an_object_without_credentials(server, monkeypatch) -> None:
    _, started = server
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", started.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", started.secret_key)
    store = ObjectStore.connect(Settings(s3_endpoint=started.endpoint, bucket="neighbours"))
    store.ensure_bucket()
    store.put("champion.json", b"the champion" * 1000)
    for _, port in listening(started.pid):
        for path in ("/buckets/neighbours/champion.json", "/neighbours/champion.json"):
            for method, body in (("GET", None), ("PUT", b"x"), ("POST", b"x"), ("DELETE", None)):
                asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, method=method)
                with pytest.raises((urllib.error.URLError, OSError)):
                    urllib.request.urlopen(asked, timeout=5).read()  # noqa: S310
    assert store.read("champion.json") == b"the champion" * 1000


def test_what_the_store_keeps_is_for_its_owner_alone(server) -> None:
    folder, _ = server
    for path in (folder, folder / "data"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for name in ("security.toml", "identities.json", "inner.key", "weed.log"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600, name


def test_airflow_of_the_demo_starts_no_log_server(tmp_path: Path) -> None:
    folder = airflow_server._airflow_of_ours(tmp_path / "home", Path("/bin/echo"), tmp_path / "roles")
    script = (folder / "airflow").read_text()
    assert "--skip-serve-logs" in script
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    environment = airflow_server.airflow_environment(tmp_path, tmp_path / "home", [1, 2, 3], {})
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    json.dumps(environment)


def test_who_acts_is_whom_the_operating_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = person()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "the-head-of-radiology")
    assert person() == truth != "the-head-of-radiology"


def test_a_cache_that_somebody_else_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = tmp_path / "planted"
    planted.mkdir(mode=0o777)
    planted.chmod(0o777)
    assert stat.S_IMODE(make_folder(planted).stat().st_mode) == 0o700, "ours is closed again"
    link = tmp_path / "link"
    link.symlink_to(planted)
    with pytest.raises(DiskUnusable, match="somebody else's"):
        make_folder(link)
    monkeypatch.setattr("os.getuid", lambda: planted.stat().st_uid + 1)
    with pytest.raises(DiskUnusable, match="somebody else's"):
        LocalCache(Settings(cache_folder=planted))


@pytest.mark.parametrize("wanted", ["/etc/shadow", "/etc/passwd", "s3://other/weights.h5", "../secret.h5"])
def test_a_run_opens_no_file_that_the_environment_does_not_name(wanted: str, tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="not among those that a run may name") as caught:
        Settings.for_run({"backbone_weights": wanted}, {"demo": True})
    assert wanted not in str(caught.value)


def test_a_run_may_name_weights_of_the_places_that_the_environment_names(tmp_path: Path) -> None:
    places = {"demo": True, "weights_places": f"{tmp_path},s3://ours/weights", "backbone_weights": "imagenet"}
    for wanted in (str(tmp_path / "vgg.h5"), "s3://ours/weights/vgg.h5"):
        assert Settings.for_run({"backbone_weights": wanted}, places).backbone_weights == wanted
    link = tmp_path / "link"
    link.symlink_to("/etc/passwd")
    for wanted in (str(link), "s3://ours/weights-of-others/x"):
        with pytest.raises(BadConfiguration):
            Settings.for_run({"backbone_weights": wanted}, places)
