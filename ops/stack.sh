#!/bin/sh
# The containers of docker-compose.yml: stack.sh up [--scale reducer=4], stack.sh down, or any command of docker-compose;
# and stack.sh roque WORDS, any command of roque: the files that it makes come to the folder from where this was called.
# Variables, from the environment or else from the file .env:
#   ROQUE_STACK            name of the stack (roque)
#   ROQUE_RAW_FOLDER       folder that is watched for raw files (stack/incoming)
#   ROQUE_SECRETS_FOLDER   folder of the secrets, made if it is not there (stack/secrets)
#   AIRGAP=1               build on a local Debian, see ops/airgap/README.md
set -eu
here=$PWD
cd "$(dirname "$0")/.."
if [ -f .env ]; then
    environment=$(export -p)
    set -a
    . ./.env
    set +a
    eval "$environment"
fi
ROQUE_RAW_FOLDER=$(realpath --canonicalize-missing "${ROQUE_RAW_FOLDER:-stack/incoming}")
ROQUE_SECRETS_FOLDER=$(realpath --canonicalize-missing "${ROQUE_SECRETS_FOLDER:-stack/secrets}")
export ROQUE_RAW_FOLDER ROQUE_SECRETS_FOLDER

fail() {
    echo "stack.sh: $1" >&2
    exit 1
}

compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose --project-name "${ROQUE_STACK:-roque}" "$@"
    else
        docker-compose --project-name "${ROQUE_STACK:-roque}" "$@"
    fi
}

make_secrets() {
    test ! -e "$ROQUE_SECRETS_FOLDER/broker_url" || return 0
    mkdir -p "$ROQUE_SECRETS_FOLDER"
    chmod 0700 "$ROQUE_SECRETS_FOLDER"
    # as root of a container: each file belongs to the user of the one container that reads it
    docker run --rm --network none --user 0:0 --volume "$ROQUE_SECRETS_FOLDER:/secrets" \
        --entrypoint sh "${ROQUE_IMAGE:-roque}" /opt/roque/make-secrets
}

up() {
    if [ "${AIRGAP:-0}" = 1 ]; then
        . ops/airgap/bases.sh
    fi
    compose build --quiet
    docker image prune --force --filter label=roque >/dev/null # those that the new ones replace
    mkdir -p "$ROQUE_RAW_FOLDER"
    make_secrets
    compose up --detach --no-build --remove-orphans "$@"
}

# within a container of the reducer: it has the record, the broker, the raw files and memory
roque() {
    made=made-$(date +%s)-$$
    terminal=-T
    if [ -t 0 ] && [ -t 1 ]; then terminal=; fi
    status=0
    trap : INT TERM # end the command; what follows is to be done nevertheless
    # shellcheck disable=SC2086 # no word at all on a terminal
    compose exec $terminal reducer sh -c 'mkdir "$1" && cd "$1" && shift && exec roque "$@"' sh "$made" "$@" || status=$?
    test "$status" = 0 || compose exec -T reducer true </dev/null >/dev/null 2>&1 \
        || fail "no reducer runs: sh ops/stack.sh ps, sh ops/stack.sh logs reducer"
    case " $* " in
        *" --overwrite "*) there=--overwrite ;;
        *) there=--keep-old-files ;;
    esac
    compose exec -T reducer sh -c \
        'cd "$1" && { find . -type f -print0 | tar --create --null --files-from=-; cd .. && rm -r "$1"; }' sh "$made" </dev/null \
        | tar --extract --directory "$here" --no-same-owner "$there" || fail "not all that was made came to $here"
    exit "$status"
}

command -v docker >/dev/null || fail "there is no docker; install it: apt install docker.io docker-compose"
docker info >/dev/null 2>&1 || fail "no Docker engine answers: start it, or join the group docker"
docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null \
    || fail "there is no docker-compose; install it: apt install docker-compose"

case ${1:-} in
    up)
        shift
        up "$@"
        ;;
    roque)
        shift
        roque "$@"
        ;;
    *) compose "$@" ;;
esac
