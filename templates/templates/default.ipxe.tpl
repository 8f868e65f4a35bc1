#!ipxe
# Harmony: starts the inventory environment. It runs in memory; no disk is written.
{%- if let Some(notice) = notice %}
echo Harmony: {{ notice|words("notice") }}
{%- endif %}
kernel --timeout 30000 {{ kernel_url|url("kernel") }} initrd=main BOOTIF=01-${netX/mac:hexhyp} {{ args }} || goto again
initrd --timeout 30000 --name main {{ initrd_url|url("initrd") }} || goto again
boot || goto again

:again
imgfree
echo Harmony: the inventory environment did not start; asking the boot server again
sleep 3
chain --timeout 30000 --replace --autofree {{ base_url|url("base_url") }}/boot.ipxe || goto again
