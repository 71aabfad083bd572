#!/usr/bin/env bash
# Look into built images: who they start as, whether a compiler, a test of ours, .git or a secret is inside, and
# whether their Python packages are those of constraints.txt. Exit 1 on any finding.
#   [ENGINE=podman] docker/scan.sh IMAGE...
set -euo pipefail
constraints=$(dirname "$0")/../constraints.txt
inside() { "${ENGINE:-docker}" run --rm --interactive --network none --read-only --tmpfs /tmp "$image" "$@" 2> /dev/null; }
findings=0
report() { if [ -n "$2" ]; then echo "FAIL  $image: $1: found $2"; findings=1; else echo "ok    $image: $1"; fi; }

for image in "$@"; do
  [ "$(inside sh -c 'python -c "import pneumo_tasks; print(42)"')" = 42 ] || {
    echo "FAIL  $image: it does not run" >&2; exit 1; }
  report "does not start as root" "$(inside id -u | grep -x 0 || true)"
  report "no compiler" "$(inside sh -c 'for c in cc gcc g++ clang tcc ld as rustc go; do command -v $c; done; true')"
  report "no test of ours, no .git, no environment file" "$(inside sh -c 'find /opt/pneumo /opt/venv/lib/*/site-packages/pneumo_tasks /opt/airflow / -xdev \
    \( -name .git -o -name .env -o -path "*/pneumo*/tests" -o -path "*/pneumo*/test_*.py" -o -path /opt/venv/lib/python3.11/site-packages/tests \) -print 2>/dev/null | head -n 5; true')"
  report "no secret in its environment" "$("${ENGINE:-docker}" image inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$image" |
    grep -iE 'password|secret|fernet|access_key' || true)"
  report "its packages are those of constraints.txt" "$(inside python - << 'PYTHON' | grep -vixFf "$constraints" | grep -v '^pneumo==' || true
import importlib.metadata as metadata
import re

for found in metadata.distributions():
    print(re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower() + "==" + found.version)
PYTHON
)"
done
exit $findings
