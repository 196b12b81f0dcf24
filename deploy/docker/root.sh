#!/bin/sh
# Lays out the root of one image: root.sh NAME UID PROGRAM…, from /binaries to /roots/NAME.
# The programs, the libraries that they load, and the few files that glibc asks for when it resolves a name.
set -eu

name=$1
uid=$2
shift 2
root=/roots/$name
mkdir -p "$root/usr/bin" "$root/etc/dbal" "$root/run/dbal" "$root/run/secrets" "$root/var/lib/dbal" "$root/var/log/dbal" "$root/var/log/dbal-sealed"

for program in "$@"; do
    install -m 755 "/binaries/$program" "$root/usr/bin/"
    ldd "/binaries/$program" | grep -o '/[^ ]*' | while read -r library; do
        install -D -m 755 "$library" "$root$library"
    done
done

echo "dbal-$name:x:$uid:64000::/nonexistent:/usr/sbin/nologin" >"$root/etc/passwd"
echo "dbal:x:64000:" >"$root/etc/group"
echo "hosts: files dns" >"$root/etc/nsswitch.conf"
# What a volume that is mounted here takes over the first time.
chown "$uid:64000" "$root/run/dbal" "$root/var/lib/dbal" "$root/var/log/dbal" "$root/var/log/dbal-sealed"
chmod 700 "$root/var/lib/dbal" "$root/var/log/dbal-sealed"
chmod 710 "$root/run/dbal"
# The keeper of the audit journal reads it by the group.
chmod 750 "$root/var/log/dbal"
