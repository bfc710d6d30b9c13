#!/usr/bin/env bash
# Lints, type-checks and tests the checkout, in a virtual environment that it makes in .venv.
#
#   bash scripts/test.sh                                  # everything but the slow tests
#   bash scripts/test.sh -m slow                          # arguments go to pytest
#   PYTHON=python3.12 bash scripts/test.sh -k cluster -n0
#
# Everything runs even when something fails; the exit code is that of the first failure.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh

exit_code=0
summary=""

# run NAME COMMAND ...: runs it and notes how it went and how long it took.
run() {
  local name="$1" code=0 began=$SECONDS
  shift
  echo
  echo "== $name"
  "$@" || code=$?
  if [ "$code" -eq 0 ]; then
    summary="$summary$(printf '%-12s ok %15d s' "$name" $((SECONDS - began)))"$'\n'
  else
    summary="$summary$(printf '%-12s FAILED (exit %d) %d s' "$name" "$code" $((SECONDS - began)))"$'\n'
    [ "$exit_code" -ne 0 ] || exit_code=$code
  fi
}

began=$SECONDS
prepare_environment dev,demo,onnx,plots,serve
summary="$(printf '%-12s ok %15d s' environment $((SECONDS - began)))"$'\n'

run "ruff check" .venv/bin/ruff check .
run "ruff format" .venv/bin/ruff format --check .
run mypy .venv/bin/mypy
run pytest .venv/bin/python -m pytest -n auto --maxprocesses 4 --dist loadscope "$@"

echo
printf '%s' "$summary"
exit "$exit_code"
