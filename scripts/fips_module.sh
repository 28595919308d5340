#!/usr/bin/env bash
# Fetch Debian trixie's OpenSSL FIPS provider, from the mirror that this machine is set up with, into
# a folder. Nothing is installed. Run as: bash scripts/fips_module.sh FOLDER
set -euo pipefail
folder=${1:?the folder that gets fips.so}
suite=trixie
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

# The first archive of the machine's own sources, in either of their two forms, that is no security one.
mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null || true; } |
  sed -nE 's#^(deb( \[[^]]*\])?|URIs:) +(https?://[^ ]+/debian)/?( .*)?$#\3#p' | head -n 1)
: "${mirror:?no mirror of Debian is in the sources of apt}"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $mirror $suite main" > "$work/sources.list"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
options=(
  -qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=-
  -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root
)
apt-get "${options[@]}" update
(cd "$work" && apt-get "${options[@]}" download openssl-provider-fips)
dpkg -x "$work"/openssl-provider-fips_*.deb "$work/unpacked"
mkdir -p "$folder"
cp "$(find "$work/unpacked" -name fips.so)" "$folder/fips.so"
sha256sum "$folder/fips.so"
