#!/bin/sh
# Fetches Debian's cloud kernel by the host's own apt configuration and keeps
# what the virtual machines need: OUT/vmlinuz and OUT/lib/modules/VERSION.
# Usage: kernel.sh MODULES.LIST OUT    (run in an empty working folder)
set -eu
list=$1 out=$2

fetch() {
  package=$(apt-cache depends linux-image-cloud-amd64 | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }')
  [ -n "$package" ] && apt-get -q -o APT::Sandbox::User=root download "$package"
}
fetch || { apt-get -q update && fetch; } # a list that is days old may name what is gone
dpkg-deb -x "$package"_*.deb unpacked
version=${package#linux-image-}
modules=lib/modules/$version
depmod -b unpacked "$version"

mkdir -p "$out/$modules"
cp "unpacked/boot/vmlinuz-$version" "$out/vmlinuz"
cp "unpacked/$modules/"modules.builtin "unpacked/$modules/"modules.builtin.modinfo "unpacked/$modules/"modules.order "$out/$modules/"
grep -v '^#' "$list" >names
while read -r name; do
  modprobe -d unpacked -S "$version" --show-depends "$name" >>depends
done <names
awk '$1 == "insmod" { print $2 }' depends | sort -u >files
while read -r file; do
  relative=${file#*"$modules/"}
  mkdir -p "$out/$modules/$(dirname "$relative")"
  cp "$file" "$out/$modules/$relative"
done <files
depmod -b "$out" "$version"
