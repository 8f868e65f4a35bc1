#!ipxe
# Harmony: installs {{ hostname }} by order {{ order }}.
kernel --timeout 30000 {{ kernel_url|url("kernel") }} initrd=main harmony.bootmac=${netX/mac:hexhyp} {{ args }} || goto again
initrd --timeout 30000 --name main {{ initrd_url|url("initrd") }} || goto again
boot || goto again

# The order may have changed since: the boot server decides anew.
:again
imgfree
echo Harmony: the installer did not start; asking the boot server again
sleep 3
chain --timeout 30000 --replace --autofree {{ base_url|url("base_url") }}/boot.ipxe || goto again
