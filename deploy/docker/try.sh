#!/bin/bash
# Builds the images from built programs and runs broker and worker on a PostgreSQL of this machine, as compose.yaml does, and with
# the files, users and rights that Kubernetes would give them.
# Needs root, buildah, podman with runc, a PostgreSQL installation, and a Debian root as an image or mmdebstrap and a mirror:
#   deploy/docker/try.sh target/release
# What it does not try: compiling within the build, Docker and Kubernetes themselves, PostgreSQL's image, networks of containers.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
programs=$(cd "${1:-$source/target/release}" && pwd)
base=localhost/dbal-try-debian
work=$(mktemp -d /tmp/dbal-docker.XXXXXX)
chmod 755 "$work"
quiet() { "$@" 2> >(grep -v 'level=warning' >&2); }
# Bounds that this machine may have lower than podman's own defaults.
run() { quiet podman --runtime runc run --ulimit nofile=1024:4096 --ulimit nproc=512:512 "$@"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
end() {
    quiet podman rm --force --time 5 dbal-try-broker dbal-try-worker dbal-try-audit >/dev/null || true
    [ ! -e "$work/postgresql/postmaster.pid" ] || as_postgres "$bin/pg_ctl" -D "$work/postgresql" -m immediate stop >/dev/null
    ip netns delete dbal-try 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }

echo "==> build"
if ! quiet podman image exists "$base"; then
    mmdebstrap --quiet --mode=root --variant=minbase bookworm "$work/root.tar"
    quiet podman import --quiet "$work/root.tar" "$base" >/dev/null
fi
mkdir -p "$work/compiled/binaries"
for program in dbal dbal-broker dbal-worker; do strip -o "$work/compiled/binaries/$program" "$programs/$program"; done
named() { quiet podman image inspect --format '{{.Id}}' "localhost/dbal-$1" 2>/dev/null || true; }
for target in broker worker tool; do
    earlier=$(named "$target")
    # The stage that compiles is replaced by what is compiled already.
    quiet buildah build --quiet --isolation chroot --build-context compiled="$work/compiled" \
        --build-arg RUST="$base" --build-arg DEBIAN="$base" \
        --file "$here/Dockerfile" --target "$target" --tag "localhost/dbal-$target" "$source" >/dev/null
    # Which has no name any more: a night's images would pile up.
    [ -z "$earlier" ] || [ "$earlier" = "$(named "$target")" ] || quiet podman rmi "$earlier" >/dev/null || true
done
quiet podman images --format '{{.Repository}} {{.Size}}' | grep 'dbal-\(broker\|worker\|tool\)'
for target in broker worker; do
    container=$(quiet podman create "localhost/dbal-$target")
    quiet podman export "$container" | tar -t >"$work/$target.files"
    quiet podman rm "$container" >/dev/null
    [ "$(grep -c 'bin/.' "$work/$target.files")" = 1 ] || fail "$target holds more than one program"
    echo "$target: $(grep -c '[^/]$' "$work/$target.files") files, one program"
done

echo "==> configure"
mkdir "$work/config"
DBAL="podman --runtime runc run --ulimit nofile=1024:4096 --ulimit nproc=512:512 --rm --network none --user 0 \
    --volume $work/config:/config --workdir /config localhost/dbal-tool" "$here/configure.sh" "$work/config"

echo "==> PostgreSQL, which compose.yaml has in a container"
# A network of which we keep hold: the broker leaves its own, where the runtime lets it. Loopback only.
ip netns add dbal-try
ip -n dbal-try link set lo up
within() { nsenter --net=/run/netns/dbal-try "$@"; }
install -d -o postgres "$work/postgresql" "$work/database"
cp "$work/config/database/password" "$work/password"
chown postgres "$work/password"
as_postgres "$bin/initdb" --pgdata "$work/postgresql" --username postgres --pwfile "$work/password" --auth scram-sha-256 >/dev/null
within setpriv --reuid=postgres --regid=postgres --clear-groups "$bin/pg_ctl" -D "$work/postgresql" -w -l "$work/postgresql/log" \
    -o "-c listen_addresses=127.0.0.1 -c unix_socket_directories=$work/database" start >/dev/null
PGPASSWORD=$(cat "$work/password") psql --quiet --host "$work/database" --username postgres postgres --command 'CREATE DATABASE app'
PGHOST="$work/database" PGDATA="$work/postgresql" PGPASSWORD=$(cat "$work/password") POSTGRES_PASSWORD=$(cat "$work/password") \
    "$here/database.sh"

hardened=(--detach --read-only --read-only-tmpfs=false --cap-drop ALL --security-opt no-new-privileges --pids-limit 64 --memory 512m)
call() {
    within "$programs/dbal" call --endpoint wss://127.0.0.1:50051/ --ca "$work/config/public/server.crt" \
        --token-file "$work/config/issuer/token" "$@"
}
eventually() {
    for _ in $(seq 100); do
        if "$@" 2>"$work/error"; then return; fi
        sleep 0.1
    done
    cat "$work/error" >&2
    for container in dbal-try-worker dbal-try-broker; do quiet podman logs "$container" 2>&1 | tail -n 5 >&2; done
    fail "$*"
}
layers() {
    for container in dbal-try-worker dbal-try-broker; do
        quiet podman logs "$container" 2>&1 | sed -n 's/.* \(dbal-[a-z]*\) .*locked in in_force="\([^"]*\)".*/\1 in force: \2/p'
    done
}
# The keeper of the audit journal, as another user, without a network: keeper JOURNAL SEALED [PODMAN'S OPTIONS].
keeper() {
    local journal=$1 sealed=$2
    shift 2
    run "$@" --name dbal-try-audit --user 64003:64000 --volume "$journal:/var/log/dbal:ro" --volume "$sealed:/var/log/dbal-sealed" \
        localhost/dbal-tool audit seal --follow /var/log/dbal /var/log/dbal-sealed >/dev/null
}
# sealed JOURNAL SEALED [VERIFY'S OPTIONS]: all that was written is sealed, in a folder of its own; both folders are one trail, which the broker has countersigned.
sealed() {
    eventually test "$(wc -l <"$1/audit-00000000000000000001.jsonl")" = "$(wc -l <"$2/audit-00000000000000000001.jsonl")"
    quiet podman inspect --format '{{.State.Running}}' dbal-try-audit | grep -qx true || {
        quiet podman logs dbal-try-audit >&2
        fail "the keeper of the audit journal ended"
    }
    quiet podman rm --force --time 1 dbal-try-audit >/dev/null
    "$programs/dbal" audit verify --broker-key "$(cat "$work/config/public/countersign.pub")" "${@:3}" "$2" "$1" | head -n 3
    grep '^dbal_audit_seal' "$2/seal.prom"
}
# Both are to have ended by themselves, with success.
stop() {
    quiet podman stop --time 20 dbal-try-broker dbal-try-worker >/dev/null
    for container in dbal-try-broker dbal-try-worker; do
        code=$(quiet podman inspect --format '{{.State.ExitCode}}' "$container")
        [ "$code" = 0 ] || fail "$container ended with $code"
    done
    quiet podman rm dbal-try-broker dbal-try-worker >/dev/null
}

echo "==> run, as in compose.yaml"
install -d -o 64002 -g 64000 -m 710 "$work/channel"
install -d -o 64002 -g 64000 -m 750 "$work/audit"
install -d -o 64003 -g 64000 -m 700 "$work/sealed"
run "${hardened[@]}" --network none --name dbal-try-worker --user 64002:64000 \
    --volume "$work/config/public:/etc/dbal:ro" \
    --volume "$work/config/worker/worker.yaml.age:/run/secrets/worker.yaml.age:ro" \
    --volume "$work/config/worker/identity:/run/secrets/identity:ro" \
    --volume "$work/channel:/run/dbal" --volume "$work/audit:/var/log/dbal" --volume "$work/database:/run/postgresql" \
    localhost/dbal-worker >/dev/null
run "${hardened[@]}" --network ns:/run/netns/dbal-try --name dbal-try-broker --user 64001:64000 \
    --volume "$work/config/public:/etc/dbal:ro" \
    --volume "$work/config/broker/server.key:/run/secrets/server.key:ro" \
    --volume "$work/config/broker/countersign.key:/run/secrets/countersign.key:ro" --volume "$work/channel:/run/dbal:ro" \
    localhost/dbal-broker >/dev/null
keeper "$work/audit" "$work/sealed" "${hardened[@]}" --network none
me=0199a000-0000-7000-8000-000000000001
eventually call create User '{"id": "'$me'", "username": "root_admin", "email": "me@example.com"}'
call create Note '{"title": "from a container"}'
layers
echo "    the worker is killed; started anew, it serves on"
quiet podman kill --signal KILL dbal-try-worker >/dev/null
quiet podman --runtime runc start dbal-try-worker >/dev/null
eventually call count Note
# The broker countersigns every five seconds.
eventually grep -q '"countersigned"' "$work/audit/audit-00000000000000000001.jsonl"
stop
sleep 2
sealed "$work/audit" "$work/sealed" --key "$(cat "$work/config/public/checkpoints.pub")"

echo "==> run, as in kubernetes/dbal.yaml"
# A pod has an interface beside its loopback.
ip -n dbal-try link add name pod type bridge
kubernetes=$work/kubernetes
# As the kubelet lays them out: links to a folder that is replaced as a whole; secrets of root, readable by fsGroup.
lay() {
    local folder=$kubernetes/$1 mode=$2
    shift 2
    mkdir -p "$folder/..2026_11_26"
    for file in "$@"; do
        install -g 64000 -m "$mode" "$file" "$folder/..2026_11_26/"
        ln -s "..data/$(basename "$file")" "$folder/$(basename "$file")"
    done
    ln -s ..2026_11_26 "$folder/..data"
    chgrp 64000 "$folder" "$folder/..2026_11_26"
    chmod 755 "$folder" "$folder/..2026_11_26"
}
mkdir -p "$kubernetes/made"
own='s|https://issuer.example|https://issuer.localhost|; s|kid: "1"|kid: one|'
sed -n '/^  broker.yaml: |$/,/^---/ s/^    //p' "$here/../kubernetes/dbal.yaml" | sed "$own" >"$kubernetes/made/broker.yaml"
sed "$own; s|host: .*|host: 127.0.0.1|; s|change-me|$(cat "$work/config/database/password")|; s|verify_full|disable|; /ca_file/d" \
    "$here/../kubernetes/worker.yaml" >"$kubernetes/made/worker.yaml"
chmod 600 "$kubernetes/made/worker.yaml"
"$programs/dbal" keygen --output "$kubernetes/made/identity" >"$kubernetes/made/recipient"
"$programs/dbal" config encrypt --recipient "$(cat "$kubernetes/made/recipient")" --output "$kubernetes/made/worker.yaml.age" \
    "$kubernetes/made/worker.yaml" >/dev/null
cp "$work/config/public/server.crt" "$kubernetes/made/tls.crt"
cp "$work/config/broker/server.key" "$kubernetes/made/tls.key"
cp "$work/config/broker/countersign.key" "$kubernetes/made/countersign.key"
lay broker 644 "$kubernetes/made/broker.yaml"
lay tls 440 "$kubernetes/made/tls.crt" "$kubernetes/made/tls.key"
lay countersign 440 "$kubernetes/made/countersign.key"
lay worker 440 "$kubernetes/made/worker.yaml.age"
lay identity 440 "$kubernetes/made/identity"
lay entities 644 "$work"/config/public/entities/*
lay policy 644 "$work/config/public/policy/acl.yaml"
lay keys 644 "$work/config/public/keys/token.pub"
install -d -g 64000 -m 2777 "$kubernetes/channel"
install -d -g 64000 -m 2770 "$kubernetes/audit" "$kubernetes/sealed"
# Docker's and containerd's profiles allow what podman's does, without making namespaces.
python3 - /usr/share/containers/seccomp.json "$kubernetes/seccomp.json" <<'END'
import json, sys
profile = json.load(open(sys.argv[1]))
for rule in profile["syscalls"]:
    if rule["action"] == "SCMP_ACT_ALLOW" and not rule.get("includes"):
        rule["names"] = [name for name in rule["names"] if name not in ("unshare", "setns", "mount", "clone3")]
json.dump(profile, open(sys.argv[2], "w"))
END
pod=("${hardened[@]}" --network ns:/run/netns/dbal-try --security-opt "seccomp=$kubernetes/seccomp.json"
    --volume "$kubernetes/entities:/etc/dbal-rules/entities:ro" --volume "$kubernetes/policy:/etc/dbal-rules/policy:ro"
    --volume "$kubernetes/keys:/etc/dbal-rules/keys:ro")
run "${pod[@]}" --name dbal-try-worker --user 64002:64000 \
    --volume "$kubernetes/worker:/etc/dbal:ro" --volume "$kubernetes/identity:/run/secrets/dbal:ro" \
    --volume "$kubernetes/channel:/run/dbal" --volume "$kubernetes/audit:/var/log/dbal" \
    localhost/dbal-worker --config /etc/dbal/worker.yaml.age --identity /run/secrets/dbal/identity >/dev/null
run "${pod[@]}" --name dbal-try-broker --user 64001:64000 \
    --volume "$kubernetes/broker:/etc/dbal:ro" --volume "$kubernetes/tls:/etc/dbal-tls:ro" \
    --volume "$kubernetes/countersign:/etc/dbal-countersign:ro" \
    --volume "$kubernetes/channel:/run/dbal:ro" \
    localhost/dbal-broker >/dev/null
keeper "$kubernetes/audit" "$kubernetes/sealed" "${pod[@]}"
eventually call list Note
layers
# The probe of the manifest, which finds a worker that hangs.
probe=$(sed -n 's|.*command: \[/usr/bin/dbal-worker, \(--alive\), \(.*\)\]}|\1 \2|p' "$here/../kubernetes/dbal.yaml")
alive() { quiet podman --runtime runc exec dbal-try-worker /usr/bin/dbal-worker $probe; }
alive
quiet podman kill --signal STOP dbal-try-worker >/dev/null
! alive 2>/dev/null || fail "a worker that hangs seems alive"
quiet podman kill --signal CONT dbal-try-worker >/dev/null
eventually alive
echo "    the probe tells a worker that hangs from one that does not"
eventually grep -q '"countersigned"' "$kubernetes/audit/audit-00000000000000000001.jsonl"
stop
sleep 2
sealed "$kubernetes/audit" "$kubernetes/sealed"
echo "the containers work"
