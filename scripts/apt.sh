# Sourced. apt_install PACKAGE...: installs from the distribution where root or sudo allows it, else says the one line to run.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}
can_be_root() {
    [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null
}
apt_install() {
    if ! command -v apt-get >/dev/null || ! can_be_root; then
        echo "setup: missing packages. Run this once, then the same command again:" >&2
        echo "    sudo apt-get install --no-install-recommends $*" >&2
        exit 2
    fi
    log=$(mktemp)
    # The daemons are started by the local stack, on its own ports: the packages must not start theirs.
    guard=/usr/sbin/policy-rc.d
    guarded=no
    if [ ! -e "$guard" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$guard" >/dev/null && as_root chmod +x "$guard" && guarded=yes
    fi
    status=0
    { as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >"$log" 2>&1 || status=$?
    if [ "$guarded" = yes ]; then as_root rm -f "$guard"; fi
    if [ "$status" != 0 ]; then
        tail -n 15 "$log" >&2
        echo "setup: apt-get could not install: $* (the whole log: $log)" >&2
        exit 2
    fi
    rm -f "$log"
}
