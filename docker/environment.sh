#!/usr/bin/env bash
# Write what is missing into docker/.env: secrets drawn here, none with a default. What is there already stays,
# so that an upgrade which needs another variable adds it and changes nothing else.
#   environment.sh [FILE]
set -euo pipefail
file=${1:-$(dirname "$0")/.env}
umask 077
touch "$file"
chmod 600 "$file"

drawn() { head -c 32 /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_'; }
in_hex() { head -c "$1" /dev/urandom | od -An -tx1 | tr -d ' \n'; }
value() { sed -n "s/^$1=//p" "$file" | tail -n 1; }
add() { grep -q "^$1=" "$file" || echo "$1=$2" >> "$file"; }

add POSTGRES_PASSWORD "$(in_hex 20)"
add REDIS_PASSWORD "$(in_hex 20)"
add FERNET_KEY "$(drawn)"
add JWT_SECRET "$(in_hex 32)"
add API_SECRET_KEY "$(in_hex 32)"
# The administrator of the store, and the roles of docker/policies/. Where S3 is elsewhere nobody makes roles for
# us: then each has what is named as S3_ACCESS_KEY, until somebody gives it a credential of its own here.
add S3_ACCESS_KEY "$(in_hex 10)"
add S3_SECRET_KEY "$(in_hex 20)"
for role in SENDER PIPELINE SCHEDULER REVIEWER READER DEPLOYMENT ERASER; do
  if grep -q '^PNEUMO_S3_ENDPOINT=' "$file"; then
    add "S3_${role}_ACCESS_KEY" "$(value S3_ACCESS_KEY)"
    add "S3_${role}_SECRET_KEY" "$(value S3_SECRET_KEY)"
  else
    add "S3_${role}_ACCESS_KEY" "$(in_hex 10)"
    add "S3_${role}_SECRET_KEY" "$(in_hex 20)"
  fi
done
add PNEUMO_UI_PASSWORD "$(in_hex 8)"
