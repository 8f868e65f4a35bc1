#!/bin/sh
# Builds the installed system: OUT/disk.img.zst, a raw disk that boots under
# BIOS (syslinux) and UEFI (GRUB), made without mounting anything.
# Usage: build.sh ASSETS KERNEL OUT    (run in an empty working folder)
set -eu
assets=$1 kernel=$2 out=$3
boot_mib=24
mkdir -p "$out"

# Debian's packages, by the host's own apt configuration (mirror, proxy, keys).
apt-config dump | grep '^Acquire::' >apt.conf || :
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
sources=$(grep -lE '^(deb|URIs:).*debian' /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
  /etc/apt/sources.list.d/*.sources 2>/dev/null || :)
excludes=
for folder in doc man locale info lintian i18n zoneinfo bash-completion; do
  excludes="$excludes --dpkgopt=path-exclude=/usr/share/$folder/*"
done
mmdebstrap --quiet --mode=root --variant=essential --format=directory \
  --include=usr-is-merged,systemd,systemd-sysv,udev,dbus,network-manager,openssh-server,libnss-myhostname,sudo,jq,curl,iproute2,kmod \
  --aptopt=apt.conf --aptopt='Apt::Install-Recommends "false"' $excludes \
  "$codename" root $sources

cp -r "$kernel/lib/modules" root/usr/lib/

install -D -m 755 "$assets/harmony-ignition" root/usr/lib/harmony/harmony-ignition
install -m 644 "$assets/ignition.jq" "$assets/ignition-faults.jq" "$assets/ignition-tar.jq" root/usr/lib/harmony/
install -m 644 "$assets/harmony-ignition.service" "$assets/harmony-ignition-fetch.service" \
  "$assets/harmony-host-keys.service" root/etc/systemd/system/
install -D -m 644 "$assets/98-bond-inherit-mac.link" root/etc/systemd/network/98-bond-inherit-mac.link
install -D -m 644 "$assets/network-manager.conf" root/etc/NetworkManager/conf.d/harmony.conf
install -D -m 644 "$assets/sshd.conf" root/etc/ssh/sshd_config.d/harmony.conf
: >root/etc/fstab # the initramfs mounts the root; nothing else is needed
# Names are asked of the servers that DHCP names: NetworkManager writes that file. Ours would be the build host's.
rm -f root/etc/hostname root/etc/machine-id root/etc/resolv.conf
: >root/etc/machine-id
printf '127.0.0.1 localhost\n::1 localhost\n' >root/etc/hosts
mkdir -p root/etc/systemd/system.conf.d root/etc/systemd/journald.conf.d
printf '[Manager]\nDefaultTimeoutStopSec=5s\nDefaultTimeoutStartSec=90s\n' >root/etc/systemd/system.conf.d/harmony.conf
printf '[Journal]\nStorage=volatile\n' >root/etc/systemd/journald.conf.d/harmony.conf

chroot root useradd -m -s /bin/bash core
chroot root usermod -p '*' core # no password, and not "locked" either: sshd refuses those
printf 'core ALL=(ALL) NOPASSWD: ALL\n' >root/etc/sudoers.d/core
chmod 440 root/etc/sudoers.d/core
chroot root systemctl --quiet enable harmony-ignition.service harmony-ignition-fetch.service \
  harmony-host-keys.service NetworkManager.service ssh.service
chroot root systemctl --quiet set-default multi-user.target
grep -v '^#' "$assets/masked.list" | xargs chroot root systemctl --quiet mask
rm -f root/usr/lib/systemd/system-generators/*
for service in hostname1 login1 nm_dispatcher PolicyKit1; do
  rm -f "root/usr/share/dbus-1/system-services/org.freedesktop.$service.service"
done

# What neither boot nor bond needs. The apt configuration may hold a proxy's password.
rm -rf root/etc/apt root/var/lib/apt root/var/cache/* root/var/log/* root/usr/share/perl* \
  root/usr/lib/x86_64-linux-gnu/perl* root/usr/lib/x86_64-linux-gnu/libperl* root/usr/bin/perl* \
  root/usr/lib/x86_64-linux-gnu/gconv root/usr/lib/x86_64-linux-gnu/NetworkManager/*/*.so \
  root/usr/bin/nmtui* root/usr/lib/x86_64-linux-gnu/libslang* root/usr/lib/systemd/systemd-networkd \
  root/usr/lib/udev/hwdb.bin root/usr/lib/udev/hwdb.d root/etc/udev/hwdb.bin \
  root/var/lib/dpkg/info root/etc/ssh/ssh_host_*

# initramfs
mkdir -p initrd/bin initrd/lib
ln -s bin initrd/sbin
cp /bin/busybox initrd/bin/busybox
for applet in $(busybox --list); do
  [ "$applet" = busybox ] || ln -s busybox "initrd/bin/$applet"
done
install -m 755 "$assets/init" initrd/init
version=$(ls "$kernel/lib/modules")
mkdir -p "initrd/lib/modules/$version/kernel/drivers"
for folder in virtio block char; do
  [ ! -d "$kernel/lib/modules/$version/kernel/drivers/$folder" ] ||
    cp -r "$kernel/lib/modules/$version/kernel/drivers/$folder" "initrd/lib/modules/$version/kernel/drivers/"
done
cp "$kernel/lib/modules/$version/"modules.* "initrd/lib/modules/$version/"
depmod -b initrd "$version"
(cd initrd && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) | zstd -q -12 -c >initrd.img

# Boot partition: read by syslinux and GRUB alike.
truncate -s "${boot_mib}M" boot.fat
mkfs.vfat -F 16 -n BOOT boot.fat >/dev/null
grub-mkstandalone -O x86_64-efi -o BOOTX64.EFI --locales= --fonts= --themes= \
  --install-modules="part_msdos fat search search_label linux configfile normal echo" \
  --modules="part_msdos fat search search_label linux configfile normal" "boot/grub/grub.cfg=$assets/early.cfg"
mmd -i boot.fat ::/EFI ::/EFI/BOOT
mcopy -i boot.fat BOOTX64.EFI ::/EFI/BOOT/
mcopy -i boot.fat "$kernel/vmlinuz" initrd.img "$assets/syslinux.cfg" "$assets/grub.cfg" ::/
syslinux --install boot.fat

# Root filesystem: its contents, and room for programs that are fetched later; the disk's rest stays unused.
# With a journal: nothing checks it after a power cut, and what is half written would be read as it is.
root_mib=$(($(du -sm root | cut -f1) * 11 / 10 + 128))
truncate -s "${root_mib}M" root.ext4
mke2fs -q -t ext4 -O ^metadata_csum -J size=4 -E lazy_itable_init=1 -L harmony-root -d root root.ext4

truncate -s "$((1 + boot_mib + root_mib))M" disk.img
printf 'label: dos\nstart=2048,size=%d,type=ef,bootable\nstart=%d,size=%d,type=83\n' \
  "$((boot_mib * 2048))" "$(((1 + boot_mib) * 2048))" "$((root_mib * 2048))" | sfdisk -q disk.img
dd if=/usr/lib/syslinux/mbr/mbr.bin of=disk.img conv=notrunc bs=440 count=1 status=none
dd if=boot.fat of=disk.img bs=1M seek=1 conv=notrunc,sparse status=none
dd if=root.ext4 of=disk.img bs=1M "seek=$((1 + boot_mib))" conv=notrunc,sparse status=none
zstd -q -9 -T0 -c disk.img >"$out/disk.img.zst"
