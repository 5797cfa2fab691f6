# Read by ops/stack.sh: makes the base images and the folder of wheels, and says that they are to be used.
base() { # NAME PACKAGE...
    name=$1
    shift
    docker build --quiet --tag "roque-airgap/$name" --build-arg "DEBIAN=${DEBIAN:-debian:bookworm-slim}" \
        --build-arg "PACKAGES=$*" - < ops/airgap/Dockerfile >/dev/null || fail "the base image of $name could not be made"
}

lock=ops/docker/roque/runtime.lock
wheels=ops/airgap/wheels
base postgres postgresql-15 &
postgres=$!
base rabbitmq rabbitmq-server &
rabbitmq=$!
if ! cmp -s "$lock" "$wheels/runtime.lock"; then
    test -x .venv/bin/pip || fail "$wheels must hold the wheels of $lock, and a copy of it: see ops/airgap/README.md"
    rm -f "$wheels"/*.whl
    .venv/bin/pip download --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        --dest "$wheels" --requirement "$lock"
    cp "$lock" "$wheels/"
fi
base python python3 python3-venv
wait "$postgres"
wait "$rabbitmq"
export ROQUE_PYTHON_BASE=roque-airgap/python ROQUE_POSTGRES_BASE=roque-airgap/postgres ROQUE_RABBITMQ_BASE=roque-airgap/rabbitmq
export ROQUE_PIP_NO_INDEX=1
