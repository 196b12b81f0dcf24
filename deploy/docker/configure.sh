#!/bin/sh
# Makes deploy/docker/config for compose.yaml: a certificate for localhost, keys, the worker's sealed configuration, a database
# password, and a token to try it with. As root, since each file then belongs to the one container user that may read it.
#   deploy/docker/configure.sh [FOLDER]                                   with `dbal` on the PATH; or
#   DBAL="docker run --rm -u 0 -v $PWD/deploy/docker/config:/config -w /config dbal-tool" deploy/docker/configure.sh
set -eu

DBAL=${DBAL:-dbal}
here=$(cd "$(dirname "$0")" && pwd)
[ "$(id -u)" = 0 ] || { echo "configure.sh: needs root, to give files to the containers' users" >&2; exit 1; }
config=${1:-$here/config}
[ ! -e "$config/public" ] || { echo "configure.sh: $config is there already; remove it to begin anew" >&2; exit 1; }
umask 077
mkdir -p "$config"
cd "$config"
mkdir public public/policy public/keys broker worker database issuer

# Yours, later.
cp -r "$here/../../policy/examples/entities" public/
cp "$here/../../policy/examples/acl.yaml" public/policy/
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -keyout broker/server.key \
    -out public/server.crt -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
    -addext basicConstraints=critical,CA:FALSE 2>/dev/null
# The broker's, for the audit trail; the public half is for whoever audits.
$DBAL keygen --countersign --output broker/countersign.key >public/countersign.pub
# The worker's, likewise.
$DBAL keygen --checkpoints >checkpoints
sed -n 's/^# public: //p' checkpoints >public/checkpoints.pub
openssl genpkey -algorithm ed25519 -out issuer/token.key
openssl pkey -in issuer/token.key -pubout -out public/keys/token.pub
openssl rand -hex 24 | tr -d '\n' >database/password

auth='auth: {tokens: {issuer: "https://issuer.localhost", audience: dbal, keys: [{kid: one, algorithm: EdDSA, public_key: /etc/dbal/keys/token.pub}]}}'
cat >public/broker.yaml <<END
listen: "0.0.0.0:50051"
tls: {certificate: /etc/dbal/server.crt, key: /run/secrets/server.key}
worker: {socket: /run/dbal/worker.sock}
entities: /etc/dbal/entities
policy: /etc/dbal/policy/acl.yaml
audit: {countersign_key: /run/secrets/countersign.key}
$auth
END
# 64001 is the broker. Where the container runtime lets the worker leave its network by a user namespace (podman does, Docker does
# not), it sees every other user as 65534; the socket's mode and folder let in nobody but the broker in either case.
cat >worker/worker.yaml <<END
socket: {path: /run/dbal/worker.sock, mode: "0660", allow_uid: [64001, 65534]}
database:
  postgresql: {host: /run/postgresql, database: app, user: dbal, password: "$(cat database/password)", create_tables: true}
entities: /etc/dbal/entities
policy: /etc/dbal/policy/acl.yaml
$auth
audit: {directory: /var/log/dbal, checkpoint_key: "$(grep -v '^#' checkpoints)"}
END
rm checkpoints
recipient=$($DBAL keygen --output worker/identity)
$DBAL config encrypt --recipient "$recipient" --output worker/worker.yaml.age worker/worker.yaml
rm worker/worker.yaml

# An hour for an admin of the example policy, signed as an identity provider would.
base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
now=$(date +%s)
head=$(printf '{"alg":"EdDSA","typ":"JWT","kid":"one"}' | base64url)
body=$(printf '{"iss":"https://issuer.localhost","aud":"dbal","sub":"0199a000-0000-7000-8000-000000000001","roles":["admin"],"iat":%s,"exp":%s}' \
    "$now" "$((now + 3600))" | base64url)
printf '%s.%s' "$head" "$body" >issuer/signed
signature=$(openssl pkeyutl -sign -rawin -inkey issuer/token.key -in issuer/signed | base64url)
printf '%s.%s.%s\n' "$head" "$body" "$signature" >issuer/token
rm issuer/signed

chmod -R u=rwX,go=rX public
chmod 755 .
chown 64001:64000 broker/*
chown 64002:64000 worker/*
chmod 400 broker/* worker/*
chmod 755 broker worker database
echo "made $config; issuer/token is valid for an hour"
