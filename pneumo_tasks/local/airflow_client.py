"""The few calls of Airflow's REST API that the demo makes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx

from pneumo_tasks.errors import BadConfiguration, StorageUnavailable

if TYPE_CHECKING:
    from ssl import SSLContext

_OWN = ("127.0.0.1", "localhost", "::1")
_COMPONENTS = ("metadatabase", "scheduler", "dag_processor")


class AirflowClient:
    """One signed-in user of one Airflow.

    Raises StorageUnavailable where Airflow does not answer, BadConfiguration where it refuses.
    """

    def __init__(self, url: str, username: str, password: str, trusted: "SSLContext | bool" = True) -> None:
        """``trusted`` are the authorities; no proxy stands between this machine and itself."""
        self.url = url
        self._login = {"username": username, "password": password}
        own = (urlsplit(url).hostname or "") in _OWN
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=not own, verify=trusted)

    def is_healthy(self) -> bool:
        """Whether database, scheduler and DAG processor all report healthy; False where nobody answers."""
        try:
            answer = self._http.get("/api/v2/monitor/health", timeout=5)
        except httpx.HTTPError:
            return False
        if answer.status_code != httpx.codes.OK:
            return False
        report = answer.json()
        return all((report.get(name) or {}).get("status") == "healthy" for name in _COMPONENTS)

    def pool_slots(self, name: str) -> int | None:
        """How many tasks the pool lets work at a time (-1: any number); None where there is no such pool."""
        found = self._call("GET", f"/pools/{name}", allowed=(404,))
        return None if found is None else int(found["slots"])

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        if self.pool_slots(name) is None:
            self._call("POST", "/pools", {"name": name, "slots": slots, "description": description})

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        """The DAG with its params, or None where Airflow does not know it (yet)."""
        found: dict[str, Any] | None = self._call("GET", f"/dags/{dag_id}/details", allowed=(404,))
        return found

    def import_errors(self) -> list[str]:
        """What kept DAG files from being read, one text each."""
        found = self._call("GET", "/importErrors")
        return [f"{error['filename']}: {error['stack_trace']}" for error in found["import_errors"]]

    def unpause(self, dag_id: str) -> None:
        self._call("PATCH", f"/dags/{dag_id}", {"is_paused": False})

    def trigger(self, dag_id: str, conf: Mapping[str, Any], note: str) -> str:
        """Start a run now; returns its run id."""
        body = {"logical_date": None, "conf": dict(conf), "note": note}
        return str(self._call("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def announce(self, asset: str, extra: Mapping[str, Any]) -> None:
        """Send an event of the asset of that name; BadConfiguration where Airflow knows none."""
        found = self._call("GET", f"/assets?name_pattern={quote(asset)}&limit=100")["assets"]
        ids = [one["id"] for one in found if one["name"] == asset]
        if not ids:
            raise BadConfiguration(
                f"Airflow knows no asset {asset}", where=self.url,
                do="Let it read the DAGs first: the weekly DAG is scheduled by that asset.",
            )  # fmt: skip
        self._call("POST", "/assets/events", {"asset_id": ids[0], "extra": dict(extra)})

    def run_state(self, dag_id: str, run_id: str) -> str:
        return str(self._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def end_run(self, dag_id: str, run_id: str) -> None:
        """Mark a run as failed: what it still does is stopped."""
        self._call("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", {"state": "failed"})

    def active_runs(self, dag_id: str) -> list[str]:
        """The runs that wait or work at this moment, the oldest first."""
        found = self._call("GET", f"/dags/{dag_id}/dagRuns?state=running&state=queued&order_by=run_after")
        return [run["dag_run_id"] for run in found["dag_runs"]]

    def newest_run(self, dag_id: str) -> dict[str, Any] | None:
        """The run that was to start last, with its state and note; None where there was none."""
        found = self._call("GET", f"/dags/{dag_id}/dagRuns?order_by=-run_after&limit=1")["dag_runs"]
        return found[0] if found else None

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        instances: list[dict[str, Any]] = []
        while True:
            page = self._call("GET", f"{path}?limit=100&offset={len(instances)}")
            instances += page["task_instances"]
            if not page["task_instances"] or len(instances) >= page["total_entries"]:
                return instances

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, allowed: tuple[int, ...] = ()
    ) -> Any:
        """The JSON answer; None for a status in ``allowed``. A token that expired is renewed once."""
        try:
            answer = self._http.request(method, f"/api/v2{path}", json=body)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                self._sign_in()
                answer = self._http.request(method, f"/api/v2{path}", json=body)
        except httpx.HTTPError as error:
            raise StorageUnavailable(
                "Airflow did not answer", where=self.url, found=repr(error),
                do="See `make status` and the log below .local/logs.",
            ) from error  # fmt: skip
        if answer.status_code in allowed:
            return None
        if answer.is_error:
            raise BadConfiguration(
                "Airflow refused a request", where=f"{method} {path}",
                found=f"{answer.status_code} {answer.text[:500]}",
            )  # fmt: skip
        return answer.json()

    def _sign_in(self) -> None:
        answer = self._http.post("/auth/token", json=self._login)
        if answer.is_error:
            raise BadConfiguration(
                "Airflow refused the login", where=self.url, found=str(answer.status_code),
                do="Run `make down`, then `make demo`.",
            )  # fmt: skip
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
