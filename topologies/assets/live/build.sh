#!/bin/sh
# Builds the live environment: OUT/vmlinuz and OUT/initrd.img.
# Usage: build.sh ASSETS KERNEL AGENT OUT    (run in an empty working folder)
set -eu
assets=$1 kernel=$2 agent=$3 out=$4
mkdir -p root/bin root/etc root/lib root/lib64 "$out"
ln -s bin root/sbin
cp /bin/busybox root/bin/busybox
for applet in $(busybox --list); do
  [ "$applet" = busybox ] || ln -s busybox "root/bin/$applet"
done
install -m 755 "$assets/init" root/init
rm root/bin/reboot
install -m 755 "$assets/harmony-install" "$assets/reboot" "$assets/udhcpc-script" root/bin/
install -m 755 "$agent" root/bin/harmony-inventory-agent
cp -r "$kernel/lib/modules" root/lib/modules
# Not busybox's shell, which prefers its own reboot to ours.
printf 'root:*:0:0:root:/root:/bin/dash\n' >root/etc/passwd
printf 'root:x:0:\n' >root/etc/group
printf '/bin/dash\n' >root/etc/shells

# Programs that are not static, with the libraries that they name.
for program in /usr/sbin/dropbear /usr/bin/dash /usr/bin/zstd; do
  cp "$program" root/bin/
  ldd "$program" | awk '$3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }'
done | sort -u >libraries
while read -r library; do
  mkdir -p "root/$(dirname "$library")"
  cp -L "$library" "root/$library"
done <libraries

(cd root && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) | zstd -q -12 -c >"$out/initrd.img"
cp "$kernel/vmlinuz" "$out/vmlinuz"
