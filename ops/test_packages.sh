#!/bin/sh
# The tests start a PostgreSQL and a RabbitMQ of their own, with Debian's packages.
set -eu
missing=""
if [ -z "${ROQUE_TEST_DATABASE_URL:-}" ] && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    missing="$missing postgresql"
fi
if [ -z "${ROQUE_TEST_BROKER_URL:-}" ] && [ ! -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; then
    missing="$missing rabbitmq-server"
fi
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "the tests need the Debian packages$missing; do: sudo apt-get install -y --no-install-recommends$missing" >&2
    exit 1
fi
echo "installing$missing, which the tests start for themselves"
# the packages' own servers are not started: nobody asked for them
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
# shellcheck disable=SC2086 # words
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
