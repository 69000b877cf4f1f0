#!/bin/bash
# Installs what is missing of the given sections of dependencies.txt. With nothing missing it asks nobody, so it then
# works without network and without root. Starts no services: what tests need of nginx, sshd and fcgiwrap they run
# themselves, on ports of their own.
#
#   packaging/install-dependencies.sh build run test
set -euo pipefail

list=$(dirname "$(readlink -f "$0")")/dependencies.txt

fail() {
  echo "artifactfs: cannot install dependencies: $*" >&2
  exit 1
}

packages_of() { # <section>
  awk -v section="[$1]" '
    { sub(/#.*/, ""); gsub(/[[:space:]]+/, "") }
    /^\[/ { inside = ($0 == section); found = found || inside; next }
    inside && $0 != "" { print }
    END { exit !found }' "$list" || fail "'$list' has no section '$1'"
}

is_installed() { # <package>
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

[[ $# -gt 0 ]] || { echo "usage: $0 <section>..." >&2; exit 2; }
command -v dpkg-query >/dev/null || fail "this is no Debian system; the packages' names are in '$list'"

missing=()
for section in "$@"; do
  packages=$(packages_of "$section")
  for package in $packages; do
    is_installed "$package" || missing+=("$package")
  done
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  command -v sudo >/dev/null || fail "not root, and there is no sudo; as root: apt-get install ${missing[*]}"
  as_root=(sudo)
fi

# Keeps new services from starting, now and at boot: systemd starts no masked unit; init scripts are not run in a
# runlevel that they are not meant for (invoke-rc.d(8)).
new_units=()
if [[ -d /run/systemd/system ]]; then
  for unit in nginx.service fcgiwrap.service fcgiwrap.socket ssh.service; do
    systemctl cat "$unit" >/dev/null 2>&1 || new_units+=("$unit")
  done
fi
release_units() {
  [[ ${#new_units[@]} -gt 0 ]] || return 0
  "${as_root[@]}" systemctl unmask --runtime --quiet "${new_units[@]}" || true
  "${as_root[@]}" systemctl disable --quiet "${new_units[@]}" 2>/dev/null || true
}
if [[ ${#new_units[@]} -gt 0 ]]; then
  trap release_units EXIT
  "${as_root[@]}" systemctl mask --runtime --quiet "${new_units[@]}"
fi

echo "Installing: ${missing[*]}" >&2
apt_get() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq -o Dpkg::Use-Pty=0 \
    -o DPkg::Lock::Timeout=300 "$@" </dev/null
}
# One source that does not answer need not matter: whether the packages can be had is seen below.
apt_get update >&2 || echo "artifactfs: apt-get update failed; trying with the lists that are there" >&2
for package in "${missing[@]}"; do
  apt-cache show --no-all-versions "$package" >/dev/null 2>&1 ||
    fail "no configured apt source has '$package' (needed: Debian 12, main)"
done
apt_get install -y --no-install-recommends "${missing[@]}" >&2 || fail "apt-get install ${missing[*]} failed (see above)"
for package in "${missing[@]}"; do
  is_installed "$package" || fail "'$package' is not installed although apt-get did not complain"
done
