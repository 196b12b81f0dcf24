#!/bin/bash
# Starts the units under a real systemd, in namespaces and an overlay of this machine's files, and asks the broker how it is.
# Needs root, overlayfs, systemd and built daemons: systemd/try.sh [FOLDER OF THE PROGRAMS]. Leaves nothing behind.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
programs=$(cd "${1:-$here/../target/debug}" && pwd)

if [ "${DBAL_TRY_INSIDE:-}" = "" ]; then
    work=$(mktemp -d /tmp/dbal-units.XXXXXX)
    chmod 755 "$work"
    trap 'rm -rf "$work"' EXIT
    # Keys, certificate, entities and policy, as `dbal dev` makes them.
    "$programs/dbal" dev --dir "$work/dev" --listen 127.0.0.1:0 --json >"$work/ready" 2>"$work/dev.log" &
    dev=$!
    for _ in $(seq 100); do [ -s "$work/ready" ] && break; sleep 0.1; done
    kill "$dev"; wait "$dev" || true
    mkdir "$work/shared"
    # A terminal of its own for systemd's console.
    DBAL_TRY_INSIDE="$work" timeout 120 script -qefc \
        "unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --net bash '$here/try.sh' '$programs'" \
        "$work/console" >/dev/null 2>&1 </dev/null || true
    cat "$work/shared/seen" || true
    grep -q '^the units work$' "$work/shared/seen" || { tail -n 30 "$work/console"; exit 1; }
    exit
fi

# Inside: a root of its own, writable in memory.
work=$DBAL_TRY_INSIDE
terminal=$(tty)
mount --make-rprivate /
mkdir "$work/memory"; mount -t tmpfs tmpfs "$work/memory"; cd "$work/memory"; mkdir upper scratch root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=scratch root
cd root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup; mkdir sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
mount -t tmpfs tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev; mkdir dev/pts dev/shm dev/mqueue
for device in null zero full random urandom tty; do touch "dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
mount --bind /dev/pts dev/pts; ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd
touch dev/console; mount --bind "$terminal" dev/console
mkdir -p srv/try old; mount --bind "$work/shared" srv/try

# What a package would install, and what an operator would write.
cp "$programs"/dbal{,-broker,-worker} usr/bin/
cp "$here"/*.service "$here"/*.socket etc/systemd/system/
cp "$here/dbal.sysusers" usr/lib/sysusers.d/dbal.conf
cp "$here/dbal.tmpfiles" usr/lib/tmpfiles.d/dbal.conf
mkdir etc/dbal
python3 - "$work/ready" <<'PYTHON'
import json, sys
for name, user in json.load(open(sys.argv[1]))["users"].items():
    open(f"srv/try/{name}.token", "w").write(user["token"])
    open(f"srv/try/{name}.id", "w").write(user["user_id"])
PYTHON
cp -r "$work"/dev/{acl.yaml,entities,server.crt,server.key,countersign.key,token.pub,ca.crt} etc/dbal/
sed '/run_as\|^admin\|leave_network/d; s|socket: .*|socket: /run/dbal/worker.sock|; s|format: text|format: auto|' \
    "$work/dev/broker.yaml" >etc/dbal/broker.yaml
kid=$(grep -o 'kid: "[^"]*"' etc/dbal/broker.yaml)
cat >etc/dbal/worker.yaml <<EOF
socket: {allow_uid: [65534]}
database: {sqlite: {path: /var/lib/dbal/dbal.sqlite, create_tables: true}}
entities: entities
policy: acl.yaml
auth: {tokens: {issuer: "https://dbal.localhost", audience: dbal-dev, keys: [{$kid, algorithm: EdDSA, public_key: token.pub}]}}
audit: {directory: /var/log/dbal}
EOF
chmod 600 etc/dbal/worker.yaml
# The commands of README.md; no TPM here.
cat >srv/try/prepare <<'EOF'
set -e
cd /etc/dbal
systemd-sysusers
recipient=$(dbal keygen --output identity.txt)
dbal config encrypt --recipient "$recipient" --output /etc/dbal/worker.yaml.age worker.yaml
systemd-creds encrypt --with-key=host --name=dbal-identity identity.txt /etc/dbal/identity.cred
shred -u identity.txt worker.yaml
systemd-tmpfiles --create dbal.conf
# That anybody may connect to, as on most machines.
mkdir -p /run/dbus /run/systemd/resolve
python3 -c '
import os, socket
for path in "/run/open.sock", "/run/dbus/system_bus_socket", "/run/systemd/resolve/io.systemd.Resolve":
    socket.socket(socket.AF_UNIX).bind(path)
    os.chmod(path, 0o777)
'
EOF
cat >srv/try/look <<'EOF'
set -e
health() {
    python3 - <<'PYTHON'
import ssl, socket
tls = ssl.create_default_context(cafile="/etc/dbal/ca.crt")
with tls.wrap_socket(socket.create_connection(("127.0.0.1", 50051), timeout=10), server_hostname="localhost") as broker:
    broker.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = b"".join(iter(lambda: broker.recv(4096), b""))
print(answer.decode().split("\r\n\r\n")[1])
assert answer.startswith(b"HTTP/1.1 200"), answer
PYTHON
}
ip link set lo up
sleep 2
journalctl --no-pager --output=cat --unit=dbal-broker --unit=dbal-worker
systemctl --no-pager --lines=0 status dbal-broker dbal-worker || true
health
# The operator's port, which the broker got from its own socket unit.
metrics() { curl -sS --fail http://127.0.0.1:9464/metrics; }
metrics | grep -E '^dbal_(worker|database)_connected'
dbal sandbox status
# Of the sockets that have a path the broker finds the worker's and those of systemd, though anybody might connect to others; the worker
# none that lead to a network; the keeper none at all.
found() { (cd "/proc/$(systemctl show --property=MainPID --value "dbal-$1")/root" && find run -exec test -S {} \; -print | sort | tr '\n' ' '); }
echo "the broker finds: $(found broker)"
echo "the worker finds: $(found worker)"
[ -S /run/dbus/system_bus_socket ] && [ -S /run/systemd/resolve/io.systemd.Resolve ]
found worker | grep -q run/open.sock
[ "$(found audit)" = "" ]
if found worker | grep -E 'run/(dbus|systemd/resolve)/'; then exit 1; fi
[ "$(found broker)" = "run/dbal/worker.sock run/systemd/journal/socket run/systemd/notify " ]
# Both read their files again through both sandboxes, and say so.
systemctl reload dbal-worker dbal-broker
sleep 1
for unit in dbal-worker dbal-broker; do
    journalctl --no-pager --output=cat --unit=$unit | grep '^reloaded policy' || exit 1
done
health
# Callers that connect for each call, and connections that come to nothing, while each daemon is restarted.
call() { dbal call --endpoint wss://localhost:50051/ --ca /etc/dbal/ca.crt --token-file "/srv/try/$1.token" "${@:2}"; }
call admin create User "{\"id\": \"$(cat /srv/try/alice.id)\", \"username\": \"alice\", \"email\": \"alice@example.com\"}" >/dev/null
calls() {
    local number=0 code
    while [ ! -e /run/enough ]; do
        number=$((number + 1)) code=0
        call alice create Note "{\"title\": \"$1/$number\"}" >/dev/null 2>>/run/told || code=$?
        echo "$code"
    done >"/run/calls.$1"
}
restarted() {
    rm -f /run/enough /run/calls.* /run/told
    for caller in 1 2 3 4; do calls "$1$caller" & done
    python3 - <<'PYTHON' &
import os, socket, time
made = 0
while not os.path.exists("/run/enough"):
    socket.create_connection(("127.0.0.1", 50051), timeout=10).close()
    made += 1
    time.sleep(0.02)
print(made, "connections that came to nothing, none refused")
PYTHON
    local connecting=$! before
    for _ in 1 2 3; do
        sleep 1
        before=$(date +%s%N)
        systemctl restart "$1"
        echo "$1 restarted in $((($(date +%s%N) - before) / 1000000)) ms"
    done
    sleep 1
    touch /run/enough
    wait "$connecting"
    wait
    echo "calls by exit code (0: done), while $1 was restarted three times:"
    sort /run/calls.* | uniq -c
    sort /run/told | uniq -c
    # Each call was done, put off until later (16), or not read before its broker said that it goes: it is to be asked again.
    if grep -qvxE '0|16|3' /run/calls.* || grep -qv -e '"code":503' -e 'the connection was closed: 1001 going away$' /run/told; then
        exit 1
    fi
    done=$((done + $(cat /run/calls.* | grep -cx 0)))
    [ "$(call admin count Note)" -ge "$done" ]
}
done=0
restarted dbal-broker
restarted dbal-worker
systemctl kill --signal=KILL dbal-worker
sleep 3
health
# A broker that can't start, while clients connect: the port stays, and who waits is served once the mistake is mended.
mv /etc/dbal/broker.yaml /etc/dbal/broker.good
echo "listn: no" >/etc/dbal/broker.yaml
systemctl restart dbal-broker || true
python3 - <<'PYTHON'
import socket, time
until, made = time.time() + 6, 0
while time.time() < until:
    socket.create_connection(("127.0.0.1", 50051), timeout=10).close()
    made += 1
    time.sleep(0.02)
print(made, "connections to a broker that can't start, none refused")
PYTHON
echo "starts that failed: $(journalctl --no-pager --output=cat --unit=dbal-broker | grep -c 'listn')"
systemctl is-active dbal-broker.socket
mv /etc/dbal/broker.good /etc/dbal/broker.yaml
sleep 3
health
metrics >/dev/null
systemctl is-active dbal-broker dbal-worker dbal-audit
# The keeper has all that was written, and the broker has countersigned it. Its log says what it seals.
journalctl --no-pager --output=cat --unit=dbal-audit
both="/var/log/dbal-sealed /var/log/dbal"
stat -c '%a %U:%G %n' $both /var/log/dbal/audit-*1.jsonl /var/log/dbal-sealed/audit-*1.jsonl
public=$(sed -n 's/^# public: //p' /etc/dbal/countersign.key)
dbal audit verify --broker-key "$public" $both
sealed=$(wc -l </var/log/dbal-sealed/audit-00000000000000000001.jsonl)
[ "$sealed" -gt 100 ]
# How it fares, for everybody to read.
setpriv --reuid nobody --regid nogroup --clear-groups grep -v '^#' /var/lib/dbal-audit/seal.prom
grep -q '^dbal_audit_seal_incident 0$' /var/lib/dbal-audit/seal.prom
# Nothing that the worker may do reaches it.
for spoil in 'cat /var/log/dbal-sealed/*' 'rm -f /var/log/dbal-sealed/*1.jsonl' 'chmod 777 /var/log/dbal-sealed'; do
    if setpriv --reuid dbal-worker --regid dbal-worker --clear-groups sh -c "$spoil" 2>/dev/null; then echo "worked: $spoil"; exit 1; fi
done
# Somebody cuts the journal while both are down: the keeper says so, again and again, and keeps what it has.
systemctl stop dbal-broker.socket dbal-broker-admin.socket dbal-worker.socket dbal-broker dbal-worker
sleep 2
sed -i '$d' /var/log/dbal/audit-00000000000000000001.jsonl
sleep 2
journalctl --no-pager --output=cat --unit=dbal-audit | grep 'incident: record'
grep -q '^dbal_audit_seal_incident 1$' /var/lib/dbal-audit/seal.prom
dbal audit verify /var/log/dbal-sealed | head -n 1
if dbal audit verify $both; then exit 1; fi
echo "the units work"
EOF
cat >etc/systemd/system/try-prepare.service <<'EOF'
[Unit]
DefaultDependencies=no
Before=dbal-broker.socket dbal-broker-admin.socket dbal-worker.socket dbal-broker.service dbal-worker.service dbal-audit.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/bash /srv/try/prepare
StandardOutput=append:/srv/try/seen
StandardError=append:/srv/try/seen
EOF
cat >etc/systemd/system/try-look.service <<'EOF'
[Unit]
After=dbal-broker.service
[Service]
Type=oneshot
ExecStart=/bin/bash /srv/try/look
StandardOutput=append:/srv/try/seen
StandardError=append:/srv/try/seen
ExecStopPost=/bin/systemctl --force --force poweroff
EOF
cat >etc/systemd/system/try.target <<'EOF'
[Unit]
Requires=try-prepare.service dbal-broker.socket dbal-broker-admin.socket dbal-worker.socket systemd-journald.service
Wants=dbal-broker.service dbal-audit.service try-look.service
EOF

# pivot_root, since a chrooted process can't make the user namespaces of PrivateUsers=; shared, or credentials don't appear.
pivot_root . old; cd /
exec </dev/console >/dev/console 2>&1
umount -l /old
mount --make-rshared /
exec env -i container=docker PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=try.target --log-target=console --show-status=no
