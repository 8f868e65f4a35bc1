#!ipxe
# Harmony: tells the boot server who this machine is, and does what the server says.
# A server that does not answer is asked again for ever. Only its answer, never its silence,
# makes a machine known or unknown; so nothing here falls through to another way of booting.

isset ${netX/ip} || goto configure

:ask
# The first MAC is that of the NIC in use. The serial comes last: iPXE before 2020 undoes the
# encoding of `&` in it.
set query uuid=${uuid}&mac=${netX/mac:hexhyp}
set nic:int32 0
:nic
isset ${net${nic}/mac} || goto chain
set query ${query}&mac=${net${nic}/mac:hexhyp}
inc nic
iseq ${nic} 8 || goto nic
:chain
chain --timeout 30000 --replace --autofree {{ base_url|url("base_url") }}/ipxe/chain?${query}&serial=${serial:uristring} || goto wait

:wait
echo Harmony: the boot server gave no script; asking again
sleep 3
# The lease may have run out in the meantime; the cable may have gone, so any other NIC will do.
:configure
dhcp netX || dhcp || goto wait
goto ask
