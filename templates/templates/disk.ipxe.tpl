#!ipxe
# Harmony: starts what is installed on the disk.
# UEFI goes on with its boot order after `exit 1`; after `exit 0` it may open its menu instead.
iseq ${platform} pcbios || exit 1
sanboot --no-describe --drive 0x80 || exit 1
