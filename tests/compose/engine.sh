# Sourced by run: a Docker engine for the test, and the images that no registry gives.
# shellcheck shell=bash

: "${folder:?}" "${here:?}"
engine_pid=

# The engine that runs here, else one of the test's own below $folder. It touches nothing of the host's: no bridge,
# no packet filter, no forwarding. Containers see each other and nothing else.
engine_start() {
    if docker info >/dev/null 2>&1; then
        say "with the engine that runs here"
        return 0
    fi
    [ "$(id -u)" -eq 0 ] || skip "no Docker engine runs here, and only root can start one"
    command -v dockerd >/dev/null || skip "there is no dockerd (Debian: docker.io)"
    export DOCKER_HOST=unix://$folder/docker.sock
    dockerd --host "$DOCKER_HOST" --data-root "$folder/engine" --exec-root "$folder/exec" --pidfile "$folder/engine.pid" \
        --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
        >"$folder/engine.log" 2>&1 &
    engine_pid=$!
    local i
    for ((i = 0; i < 300; i++)); do
        docker info >/dev/null 2>&1 && return 0
        kill -0 "$engine_pid" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 5 "$folder/engine.log"
    skip "no Docker engine can be started here"
}

engine_stop() {
    [ -n "$engine_pid" ] || return 0
    kill "$engine_pid" 2>/dev/null
    wait "$engine_pid" 2>/dev/null
    # What an engine leaves that had to be stopped in the middle, the deepest first.
    local mount
    awk -v folder="$folder/" 'index($2, folder) == 1 { print $2 }' /proc/mounts | sort -r | while IFS= read -r mount; do
        umount "$mount" 2>/dev/null || umount -l "$mount"
    done
}

image_is_here() {
    docker image inspect "$1" >/dev/null 2>&1
}

# What the Debian image is, made of Debian's packages.
image_debian() {
    image_is_here debian:bookworm-slim && return 0
    docker pull --quiet debian:bookworm-slim >/dev/null 2>&1 && return 0
    command -v mmdebstrap >/dev/null || skip "no registry is reachable, and there is no mmdebstrap to make the base image"
    # As the image of the registry is: without documents, and packages are unpacked without an fsync for each file.
    mmdebstrap --quiet --variant=minbase --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --aptopt='Acquire::Languages "none"' bookworm "$folder/base.tar" >"$folder/base.log" 2>&1 ||
        { tail -n 5 "$folder/base.log"; skip "the base image can't be made: no Debian packages"; }
    docker import --change 'CMD ["bash"]' "$folder/base.tar" debian:bookworm-slim >/dev/null
    rm -f "$folder/base.tar"
}

# The database's image, or what stands in for it.
image_postgres() {
    image_is_here "$1" && return 0
    docker pull --quiet "$1" >/dev/null 2>&1 && return 0
    docker build --network host --tag "$1" "$here/postgres"
}
