"""Exit 0 where the component of this container does its work; which one PNEUMO_COMPONENT says.

No component is asked through Airflow's own command line: importing Airflow costs a core for seconds.
"""

import json
import os
import socket
import sys
import urllib.request

HEALTH = "{}/api/v2/monitor/health"


def main() -> None:
    component = os.environ.get("PNEUMO_COMPONENT", "api-server")
    own = {"worker": worker_answers, "receive": receiver_listens}
    sys.exit(0 if (own[component]() if component in own else reported_healthy(component)) else 1)


def receiver_listens() -> bool:
    """Whether films could be sent to this container's `pneumo receive`."""
    with socket.create_connection(("127.0.0.1", int(os.environ.get("PNEUMO_RECEIVE_PORT", "11112"))), 10):
        return True


def reported_healthy(component: str) -> bool:
    """What the API server says of it: it knows the heartbeat of each component in the database."""
    here = component == "api-server"
    url = "http://127.0.0.1:8080" if here else os.environ.get("PNEUMO_API_SERVER", "http://api-server:8080")
    with urllib.request.urlopen(HEALTH.format(url), timeout=10) as answer:  # noqa: S310
        report = json.load(answer)
    part = "metadatabase" if here else component.replace("-", "_")
    return bool(report[part]["status"] == "healthy")


def worker_answers() -> bool:
    """Whether this container's own Celery worker answers a ping through the broker."""
    from celery import Celery

    app = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
    return bool(app.control.ping(destination=[f"celery@{socket.gethostname()}"], timeout=10))


if __name__ == "__main__":
    main()
