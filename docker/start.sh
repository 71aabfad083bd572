#!/usr/bin/env bash
# Start one component of Airflow in a container. Every component waits for what it needs, so that the order in
# which containers start does not matter. Anything that is not a component is run as a command.
#   init | api-server | scheduler | dag-processor | triggerer | worker QUEUE [SLOTS] | edge QUEUE [SLOTS]
set -euo pipefail

wait_for_database() { airflow db check --retry 60 --retry-delay 3 > /dev/null; }
wait_for_schema() { wait_for_database && airflow db check-migrations --migration-wait-timeout 300 > /dev/null; }
# Numerical libraries start a thread for each core of the machine; a container with a share of them (docker --cpus,
# a limit of Kubernetes) would spend its time on threads that wait for each other: docs/scaling.md.
own_cores() { export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(python -c 'import joblib; print(joblib.cpu_count())')}; }
say() { echo "pneumo: $*"; }

component=${1:-}
case $component in
  init)
    say "waiting for the database"
    wait_for_database
    airflow db migrate
    airflow pools set gpu "${GPU_SLOTS:-1}" "One training task at a time has the accelerator"
    say "looking for the bucket"
    python - << 'PYTHON'
import os
import time
from pneumo_tasks.errors import BadConfiguration, RetryableError
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.settings import Settings

settings = Settings.load()
pair = os.environ.pop("ADMINISTRATOR", "").split()
makes = dict(zip(("s3_access_key", "s3_secret_key"), pair))
for left in range(60, -1, -1):
    try:
        ObjectStore.connect(Settings.load(makes)).ensure_bucket()
        store = ObjectStore.connect(settings)
        store.check_conditional_writes()
        break
    except (BadConfiguration, RetryableError):  # the store is told of the roles at the same time
        if not left:
            raise
        time.sleep(3)
print(f"pneumo: bucket {store.bucket} is there, its store honours conditional writes, and tasks may write to it")
PYTHON
    ;;
  api-server)
    umask 077
    python -c 'import json, os; print(json.dumps({"admin": os.environ["PNEUMO_UI_PASSWORD"]}))' > /tmp/passwords.json
    export AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE=/tmp/passwords.json
    wait_for_schema
    exec airflow api-server
    ;;
  scheduler | dag-processor | triggerer)
    wait_for_schema
    exec airflow "$component"
    ;;
  worker)
    own_cores
    wait_for_schema
    exec airflow celery worker --queues "${2:-default}" --concurrency "${3:-1}"
    ;;
  edge)
    own_cores
    exec airflow edge worker --queues "${2:-gpu}" --concurrency "${3:-1}"
    ;;
  *)
    own_cores
    exec "$@"
    ;;
esac
