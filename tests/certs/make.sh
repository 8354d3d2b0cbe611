#!/bin/sh
# Makes the certificates of the tests anew, offline: tests/certs/make.sh
set -eu
cd "$(dirname "$0")"
days=36500
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

# root NAME: $work/NAME.key and NAME.pem
root() {
    key "$work/$1.key"
    openssl req -x509 -new -key "$work/$1.key" -sha256 -days $days -out "$work/$1.pem" \
        -subj "/CN=wsync test $1" \
        -addext "basicConstraints=critical,CA:TRUE" \
        -addext "keyUsage=critical,keyCertSign,cRLSign"
}

# issue ROOT DAYS NAMES >chain: a certificate for server.key
issue() {
    cat >"$work/leaf.ext" <<END
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = $3
END
    openssl req -new -key server.key -sha256 -subj "/CN=wsync test" -out "$work/leaf.csr"
    openssl x509 -req -in "$work/leaf.csr" -sha256 -days "$2" -CA "$work/$1.pem" -CAkey "$work/$1.key" \
        -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/leaf.ext"
    cat "$work/$1.pem"
}

root CA
root stranger
cp "$work/CA.pem" ca.pem
key server.key
names="DNS:localhost, IP:127.0.0.1, IP:::1"
issue CA $days "$names" >server.pem

# What a client must refuse.
issue CA -1 "$names" >expired.pem
issue CA $days "DNS:example.org" >other-name.pem
issue stranger $days "$names" >other-root.pem
openssl req -x509 -new -key server.key -sha256 -days $days -out self-signed.pem -subj "/CN=localhost" \
    -addext "basicConstraints=critical,CA:FALSE" -addext "subjectAltName=$names"

# The first as PKCS#12, with today's and with older encryption.
openssl pkcs12 -export -in server.pem -inkey server.key -passout pass:secret -out server.p12
openssl pkcs12 -export -in server.pem -inkey server.key -passout pass:secret -out server-older.p12 \
    -certpbe PBE-SHA1-3DES -keypbe PBE-SHA1-3DES -macalg sha1

# A key that belongs to no certificate, in the older form that is refused, too.
key other.key
openssl ec -in other.key -out other-sec1.key
