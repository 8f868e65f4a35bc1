# Harmony: inventory only. There is no partitioning command in this file, and %pre never ends,
# so Anaconda does not even look at the disks.
text
sshpw --username=root --sshkey "{{ first_key|ssh_key("ssh_keys") }}"

%pre --interpreter=/usr/bin/bash --log=/tmp/harmony-inventory.log
set -u
{%- for key in further_keys %}
echo '{{ key|ssh_key("ssh_keys") }}' >>/root/.ssh/authorized_keys
{%- endfor %}
url='{{ agent_url|url("agent_url") }}'
digest='{{ agent_sha256|sha256("agent_sha256") }}'
agent=/tmp/harmony-inventory-agent
until curl -fsS --connect-timeout 10 --speed-limit 1 --speed-time 30 -o "$agent" "$url" &&
  echo "$digest  $agent" | sha256sum -c --quiet; do
  echo "no agent with SHA-256 $digest at $url; trying again in 3 s"
  sleep 3
done
chmod 0755 "$agent"
# In the foreground: while this runs, Anaconda waits.
while :; do
  "$agent" --links-up
  echo "the agent ended with status $?; starting it again in 3 s"
  sleep 3
done
%end
