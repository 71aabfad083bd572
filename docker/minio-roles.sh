#!/bin/sh
# Make MinIO know the roles of policies/, each with its policy and the credential of its variable, "ACCESS SECRET".
# Done again it changes nothing, or what a new release changed in a policy. MinIO's image has neither sed nor grep.
set -eu
here=$(dirname "$0")
. "$here/policies/roles.sh"
server=${SERVER:-http://s3:9000}
work=${WORK:-/tmp}

# policy ROLE: its document for this bucket and these senders
policy() {
  while IFS= read -r line; do
    case $line in *BUCKET*) line=${line%%BUCKET*}$PNEUMO_BUCKET${line#*BUCKET} ;; esac
    case $line in *PREFIX*) line=${line%%PREFIX*}${SENDER_PREFIX:-}${line#*PREFIX} ;; esac
    printf '%s\n' "$line"
  done < "$here/policies/$1.json"
}

until mc alias set store "$server" "${ADMINISTRATOR% *}" "${ADMINISTRATOR#* }" > /dev/null 2>&1; do sleep 2; done

while read -r role access secret; do
  policy "$role" > "$work/$role.json"
  mc admin policy create store "pneumo-$role" "$work/$role.json" > /dev/null
  mc admin user add store "$access" "$secret" > /dev/null
  # It refuses what is so already.
  if ! mc admin policy attach store "pneumo-$role" --user "$access" > /dev/null 2>&1; then
    case $(mc admin policy entities store --user "$access") in
      *"pneumo-$role"*) ;;
      *) echo "pneumo: MinIO did not attach the policy pneumo-$role" >&2 && exit 1 ;;
    esac
  fi
done << ROLES
$roles
ROLES
echo "pneumo: MinIO knows the roles"
