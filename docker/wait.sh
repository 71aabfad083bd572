#!/usr/bin/env bash
# Wait until scheduler, DAG processor and API server answer for themselves, then say where and how to sign in.
set -euo pipefail
file=$(dirname "$0")/.env
value() { sed -n "s/^$1=//p" "$file" | tail -n 1; }
listen=$(value UI_LISTEN)
url=http://${listen:-127.0.0.1:8080}

healthy() {
  local report
  report=$(curl --silent --max-time 5 --noproxy '*' "$url/api/v2/monitor/health") || return 1
  for part in metadatabase scheduler dag_processor; do
    grep -q "\"$part\":{\"status\":\"healthy\"" <<< "$report" || return 1
  done
}

echo "Waiting for Airflow (a minute or two)"
for ((second = 0; second < ${PATIENCE:-300}; second += 3)); do
  if healthy; then
    echo "Airflow UI: $url (login admin / $(value PNEUMO_UI_PASSWORD))"
    exit 0
  fi
  sleep 3
done
echo "Airflow did not answer at $url after ${PATIENCE:-300} s. See: make logs" >&2
exit 1
