#!/usr/bin/env bash
# Installs the other implementations for the interoperability tests: a Python environment and Node modules.
#
#   setup.sh [DIR]      default DIR: target/interop of the project
#
# DIR/peer-py, DIR/features-py and DIR/peer-node then run peer.py, features.py and peer.mjs. Prints errors only;
# does nothing when done before.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${1:-$here/../../target/interop}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

missing=
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=' python3-venv'
command -v node >/dev/null || missing+=' nodejs'
command -v npm >/dev/null || missing+=' npm'
if [ -n "$missing" ]; then
  echo "interop set-up: missing (Debian packages):$missing" >&2
  exit 1
fi

# Runs a command in silence; what it said is shown if it fails.
quietly() {
  if ! "$@" >"$dir/setup.log" 2>&1 </dev/null; then
    cat "$dir/setup.log" >&2
    echo "interop set-up: failed: $*" >&2
    exit 1
  fi
}

# The copies of the two lists are written last: they say what is installed.
installed() { cmp -s "$here/$1" "$dir/$1.installed"; }
remember() { cp "$here/$1" "$dir/$1.installed"; }

if ! installed requirements.txt || ! "$dir/venv/bin/python" -c 'import websockets' 2>/dev/null; then
  quietly python3 -m venv --clear "$dir/venv"
  quietly "$dir/venv/bin/python" -m pip install --disable-pip-version-check -r "$here/requirements.txt"
  remember requirements.txt
fi

if ! installed package.json || ! [ -e "$dir/node_modules/ws/package.json" ]; then
  cp "$here/package.json" "$dir/package.json"
  # No lock file: it would record download addresses. The one dependency is pinned and has none of its own.
  quietly npm install --prefix "$dir" --package-lock=false --ignore-scripts --no-audit --no-fund --loglevel=error
  remember package.json
fi

for name in peer features; do
  cat >"$dir/$name-py" <<WRAP
#!/bin/sh
exec '$dir/venv/bin/python' '$here/$name.py' "\$@"
WRAP
done
cat >"$dir/peer-node" <<WRAP
#!/bin/sh
WSYNC_INTEROP='$dir' exec node '$here/peer.mjs' "\$@"
WRAP
chmod +x "$dir/peer-py" "$dir/features-py" "$dir/peer-node"
