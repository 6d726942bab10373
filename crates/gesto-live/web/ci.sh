#!/usr/bin/env bash
# Checks the live page. Needs Node.js 20.19 or later; `npm ci` is done here.
#
#   ci.sh sources   types, unit tests, and the committed build against a fresh one
#   ci.sh browser   the page in Chromium against the program GESTO_BIN (default: target/debug/gesto); needs
#                   `chromium` and `ffmpeg`
#   ci.sh           both
set -euo pipefail
cd "$(dirname "$0")"

sources() {
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
}

browser() {
  npm run browser
}

npm ci --no-audit --no-fund
case "${1:-both}" in
  sources) sources ;;
  browser) browser ;;
  both) sources && browser ;;
  *)
    echo "ci.sh [sources|browser]" >&2
    exit 2
    ;;
esac
