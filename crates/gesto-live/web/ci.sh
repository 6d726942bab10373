#!/usr/bin/env bash
# Checks the live page: types, unit tests, the committed build against a fresh one, and the page in a real browser.
# Needs Node.js 20 and the program (GESTO_BIN, default target/debug/gesto); installs Chromium and ffmpeg by apt if absent.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v ffmpeg >/dev/null || missing+=(ffmpeg)
if ((${#missing[@]})); then
  apt-get -o DPkg::Lock::Timeout=300 update -qq
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" fonts-dejavu-core
fi

npm ci --no-audit --no-fund
npx tsc --noEmit
npm test

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
npx vite build --outDir "$fresh" --emptyOutDir --logLevel warn
if ! diff -r "$fresh" dist; then
  echo "web/dist is not what the sources build to: run 'npm run build' in $(pwd) and commit it" >&2
  exit 1
fi
echo "web/dist equals a fresh build"

npm run browser
