#!/usr/bin/env bash
# Installs the browser of the client tests where it is missing (Debian).
set -euo pipefail
command -v chromium >/dev/null && exit 0
apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium
