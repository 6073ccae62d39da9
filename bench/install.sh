#!/usr/bin/env bash
# Installs the load client of the ingest benchmarks where it is missing (Debian).
set -euo pipefail
command -v wrk >/dev/null && exit 0
apt-get update -qq && apt-get install -y -qq wrk
