#!/bin/bash
# Installs the package in a fresh Debian root, looks at what it brought, configures it, asks the daemons, purges it.
# Needs root, mmdebstrap and a Debian mirror: deploy/deb/try.sh target/debian/dbal_0.1.0_amd64.deb. Leaves nothing behind.
# A second argument names a tar of such a root with systemd, openssl and procps in it, to spare the time of making one.
set -euo pipefail

package=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)

if [ "${DBAL_TRY_ROOT:-}" = "" ]; then
    work=$(mktemp -d /tmp/dbal-deb.XXXXXX)
    chmod 755 "$work"
    trap 'rm -rf --one-file-system "$work"' EXIT
    # What the package depends on is fetched here; the rest of the try has no network.
    if [ $# = 2 ]; then
        mkdir "$work/root"
        tar --extract --directory "$work/root" --file "$2"
    else
        mmdebstrap --quiet --mode=root --variant=minbase --include=systemd,openssl,procps bookworm "$work/root"
    fi
    cp "$package" "$work/root/dbal.deb"
    if command -v lintian >/dev/null; then
        lintian --fail-on error,warning "$package"
        echo "lintian finds neither errors nor warnings"
    fi
    # Mounts and processes end with the namespaces.
    DBAL_TRY_ROOT="$work/root" unshare --mount --pid --fork --net --kill-child "$here/try.sh" "$package"
    exit
fi

root=$DBAL_TRY_ROOT
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
ip link set lo up 2>/dev/null || true
# Once the package is there, units are read as systemd would read them in that root.
inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 chroot "$root" "$@"; }
say() { echo "==> $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

say "install"
inside dpkg --install /dbal.deb
for user in dbal-broker dbal-worker dbal-audit; do inside id "$user"; done
inside dbal --version
inside dbal-broker --version
inside dbal-worker --version
for page in man1/dbal.1 man8/dbal-broker.8 man8/dbal-worker.8 man5/broker.yaml.5 man5/worker.yaml.5; do
    gzip --test "$root/usr/share/man/$page.gz"
done
inside bash -c 'set -e; source /usr/share/bash-completion/completions/dbal; complete -p dbal' >/dev/null
units=(dbal-broker.service dbal-worker.service dbal-broker.socket dbal-broker-admin.socket dbal-worker.socket dbal-audit.service)
said=$(inside systemd-analyze verify --man=no "${units[@]}" 2>&1) || fail "systemd-analyze verify: $said"
[ -z "$said" ] || fail "systemd-analyze verify: $said"
for unit in "${units[@]}"; do
    # The worker's service is started by its socket: systemd calls it indirect, and the socket disabled.
    case $(inside systemctl is-enabled "$unit") in
        disabled | indirect) ;;
        *) fail "$unit is enabled before there is a configuration" ;;
    esac
done
[ -z "$(inside pgrep -x dbal-broker || true)" ] || fail "a daemon runs"

say "configure, by the words of README.Debian"
inside bash -euo pipefail <<'END'
mkdir -p /etc/dbal/tls /etc/dbal/keys /root/issuer
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -keyout /etc/dbal/tls/server.key -out /etc/dbal/tls/server.crt \
    -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE 2>/dev/null
openssl genpkey -algorithm ed25519 -out /root/issuer/token.key
openssl pkey -in /root/issuer/token.key -pubout -out /etc/dbal/keys/token.pub
END
# The indented lines, but for sealing to a TPM or a host key and for starting, which need a running systemd.
sed -n 's/^    //p' "$root/usr/share/doc/dbal/README.Debian" | grep -v '^systemd-creds\|^systemctl\|^shred' >"$root/root/configure"
inside bash -euo pipefail /root/configure
[ "$(inside stat -c %a:%U:%G /etc/dbal/worker.yaml.age)" = 640:root:dbal-worker ] || fail "mode of worker.yaml.age"
[ "$(inside stat -c %a:%U:%G /etc/dbal/countersign.key)" = 640:root:dbal-broker ] || fail "mode of countersign.key"
[ "$(inside stat -c %a:%U:%G /etc/dbal/tls/server.key)" = 640:root:dbal-broker ] || fail "mode of server.key"

say "serve: two daemons under two users, without systemd"
inside bash -euo pipefail <<'END'
# What the units would do: folders, users, the socket.
install -d -o dbal-worker -m 700 /var/lib/dbal
install -d -o dbal-worker -g dbal-worker -m 2750 /var/log/dbal
install -d -o dbal-audit -m 700 /var/log/dbal-sealed
install -d -o dbal-worker -g dbal-broker -m 710 /run/dbal
mkdir /etc/try
cp -r /etc/dbal/. /etc/try
cd /etc/try
sed 's/allow_uid: .65534./path: \/run\/dbal\/worker.sock, mode: "0666", allow_uid: ['"$(id -u dbal-broker)"']/' worker.yaml >plain
printf 'security: {run_as: dbal-worker}\n' >>plain
printf 'security: {run_as: dbal-broker}\nadmin: "127.0.0.1:9464"\n' >>broker.yaml
rm worker.yaml worker.yaml.age
(umask 077; cat plain >worker.yaml; rm plain)
umask 027
dbal run --config /etc/try &
ask() {
    printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' |
        openssl s_client -quiet -verify_return_error -CAfile /etc/try/tls/server.crt -servername localhost \
            -connect 127.0.0.1:50051 2>/dev/null | grep -a '^HTTP/1.1 200'
}
for _ in $(seq 100); do
    ask && break
    sleep 0.2
done
ask >/dev/null
dbal sandbox status || true
# Nothing enabled and no clock service: warnings (2) are right here, an error (1) is not.
dbal doctor --config /etc/try --name localhost || [ $? = 2 ]
dbal top --once --interval 1 --config /etc/try | grep -q healthy
seal() { setpriv --reuid dbal-audit --regid dbal-worker --clear-groups dbal audit seal /var/log/dbal /var/log/dbal-sealed; }
seal | grep -v '^0 records'
for _ in $(seq 50); do
    curl() { printf 'GET %s HTTP/1.0\r\n\r\n' "$1" | timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/9464; cat >&3; cat <&3'; }
    head=$(curl /audit/head | tail -n 1)
    [ "${head#*signature}" = "$head" ] || break
    sleep 0.2
done
echo "$head" >/tmp/head
kill %1
wait %1
seal
public=$(sed -n 's/^# public: //p' /etc/dbal/countersign.key)
dbal audit verify --broker-key "$public" --head /tmp/head /var/log/dbal-sealed /var/log/dbal
# The worker's user can neither read nor replace what is sealed.
for try in 'cat /var/log/dbal-sealed/*' 'rm -f /var/log/dbal-sealed/audit-00000000000000000001.jsonl' 'mv /var/log/dbal-sealed /var/log/dbal/moved'; do
    ! setpriv --reuid dbal-worker --regid dbal-worker --clear-groups sh -c "$try" 2>/dev/null
done
END

say "remove, then purge"
inside dpkg --remove dbal
inside test -e /etc/dbal/worker.yaml.age || fail "removing took the configuration"
inside dpkg --purge dbal
inside test ! -e /etc/dbal || fail "purging left /etc/dbal"
inside test -d /var/lib/dbal || fail "purging took the rows"
left=$(inside find /usr -name '*dbal*')
[ -z "$left" ] || fail "left behind: $left"
echo "the package works"
