#!/bin/sh
# Makes the certificates of the tests anew, offline: tests/certs/make.sh
set -eu
cd "$(dirname "$0")"
days=36500
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

key "$work/ca.key"
openssl req -x509 -new -key "$work/ca.key" -sha256 -days $days -out ca.pem \
    -subj "/CN=wsync test CA" \
    -addext "basicConstraints=critical,CA:TRUE" \
    -addext "keyUsage=critical,keyCertSign,cRLSign"

key server.key
openssl req -new -key server.key -sha256 -subj "/CN=localhost" -out "$work/server.csr"
cat >"$work/server.ext" <<END
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
END
openssl x509 -req -in "$work/server.csr" -sha256 -days $days -out "$work/server.pem" \
    -CA ca.pem -CAkey "$work/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
    -extfile "$work/server.ext"
cat "$work/server.pem" ca.pem >server.pem

# A key that belongs to no certificate, in the older form that is refused, too.
key other.key
openssl ec -in other.key -out other-sec1.key
