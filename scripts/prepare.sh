# Sourced by ./run and ./check: what has to be there before the programs can be built, and the build itself.
# shellcheck shell=bash disable=SC2034

build_packages=(gcc libc6-dev cmake ninja-build pkgconf
    libzmq3-dev libczmq-dev libmsgpack-dev libsqlite3-dev libpq-dev libcurl4-openssl-dev libjansson-dev sqlite3 ca-certificates)

say() {
    printf '%s\n' "$*" >&2
}

# Installs those of the packages that are missing. Nothing missing: nothing is called but dpkg-query.
install_missing() {
    if ! command -v dpkg-query >/dev/null; then
        say "This is no Debian: what these packages hold is taken to be here: $*"
        return 0
    fi
    local missing=() package
    for package in "$@"; do
        if ! dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed; then
            missing+=("$package")
        fi
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            say "These packages are missing, and neither root nor sudo is here to install them:"
            say "    apt-get install ${missing[*]}"
            return 1
        fi
        # Without a terminal nobody can type a password.
        if [ -t 0 ]; then as_root=(sudo); else as_root=(sudo -n); fi
    fi
    say "Installing: ${missing[*]}"
    local log
    log=$(mktemp)
    if ! {
        "${as_root[@]}" apt-get update &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
    } </dev/null >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        say "The packages could not be installed. By hand: apt-get install ${missing[*]}"
        return 1
    fi
    rm -f "$log"
}

# Runs a command that people want to hear of only when it fails. On a terminal its one moving line may be seen.
quietly() {
    if [ -t 2 ] && [ "$1" = --show ]; then
        "${@:2}" >&2
        return
    fi
    [ "$1" = --show ] && shift
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        tail -n 200 "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

# configure FOLDER TESTS [OPTION...]: once; afterwards the build itself sees what has changed. TESTS: ON, or OFF
# where the tests' packages need not be there.
configure() {
    local folder=$1 tests=$2
    local cache=$folder/CMakeCache.txt
    if [ -e "$cache" ] && { [ "$tests" = OFF ] || grep -qx 'MANDRILL_TESTS:BOOL=ON' "$cache"; }; then
        return 0
    fi
    quietly cmake -S . -B "$folder" -G Ninja -DMANDRILL_TESTS="$tests" "${@:3}" || {
        rm -f "$cache"
        say "The build could not be configured."
        return 1
    }
}

# build FOLDER TARGET
build() {
    quietly --show cmake --build "$1" --target "$2"
}
