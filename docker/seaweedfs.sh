#!/bin/sh
# Start SeaweedFS so that it knows its administrator and the roles of policies/. Each comes as a variable of its
# name, "ACCESS-KEY SECRET-KEY". Master, volume server and filer listen on the loopback interface alone: whoever
# reaches those needs no credential. Arguments are further ones of `weed server`.
set -eu
here=$(dirname "$0")
. "$here/policies/roles.sh"
identities=${IDENTITIES:-/tmp/identities.json}

# identity NAME "ACCESS SECRET" FIELDS
identity() {
  printf '{"name": "%s", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], %s}' "$1" "${2% *}" "${2#* }" "$3"
}

# policy ROLE: its document as a string of JSON
policy() {
  content=$(sed -e "s/BUCKET/$PNEUMO_BUCKET/; s/PREFIX/${SENDER_PREFIX:-}/; s/\"/\\\\\"/g" "$here/policies/$1.json" | tr -d '\n')
  printf '{"name": "%s", "content": "%s"}' "$1" "$content"
}

known=$(identity pneumo "$ADMINISTRATOR" '"actions": ["Admin", "Read", "Write", "List", "Tagging"]')
policies=
while read -r role pair; do
  known="$known, $(identity "$role" "$pair" "\"actions\": [], \"policyNames\": [\"$role\"]")"
  policies="$policies${policies:+, }$(policy "$role")"
done << ROLES
$roles
ROLES
printf '{"identities": [%s], "policies": [%s]}\n' "$known" "$policies" > "$identities"
unset ADMINISTRATOR SENDER PIPELINE SCHEDULER REVIEWER READER DEPLOYMENT ERASER

set -- server -ip=127.0.0.1 -ip.bind=127.0.0.1 -s3 "-s3.config=$identities" -s3.iam=false \
  -s3.port.iceberg=0 -s3.port.lance=0 -volume.max=20000 -master.volumeSizeLimitMB=256 -master.telemetry=false "$@"
if [ -x /entrypoint.sh ]; then exec /entrypoint.sh "$@"; fi # of the image: it may give up root first
exec weed "$@"
