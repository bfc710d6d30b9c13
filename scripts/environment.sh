# Sourced by the other scripts, after `cd` to the checkout: makes .venv and keeps it up to date.
#
#   prepare_environment dev,demo     # installs the checkout, editable, with these extras of setup.py
#
# PYTHON names the Python that makes the environment; the default is the first fit one of python3, python3.13 ...
# python3.10. The environment is made anew when that Python or the folder changes, and brought up to date when setup.py
# or pyproject.toml does. Written for bash 3.2, which macOS has.

prepare_environment() {
  local extras="$1" python home requirements
  python="$(_find_python)" || return 2
  home="$(_digest "$python")"
  requirements="$(_digest "$python" setup.py pyproject.toml)"
  if [ "$(_read .venv/made-for)" != "$home" ]; then
    echo "Making .venv with $("$python" --version)"
    if ! "$python" -m venv --clear .venv; then
      echo "error: $python cannot make virtual environments (on Debian and Ubuntu: apt install python3-venv)." >&2
      return 1
    fi
    echo "$home" >.venv/made-for
  fi
  if [ "$(_read ".venv/installed-$extras")" != "$requirements" ]; then
    echo "Installing slim-train[$extras] into .venv; the first time this downloads TensorFlow and takes minutes"
    .venv/bin/python -m pip install -qq --disable-pip-version-check --editable ".[$extras]" || return 1
    echo "$requirements" >".venv/installed-$extras"
  fi
}

_find_python() {
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    _is_supported "$PYTHON" && echo "$PYTHON" && return
    echo "error: PYTHON=$PYTHON is not a Python 3.10 to 3.13." >&2
    return 2
  fi
  for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
    _is_supported "$candidate" && echo "$candidate" && return
  done
  echo "error: there is no Python 3.10 to 3.13. Install one, or name it: PYTHON=/path/to/python3 bash $0" >&2
  return 2
}

_is_supported() {
  "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

# _digest PYTHON [FILE ...]: changes with that Python, with the folder (an environment cannot be moved), with the files.
_digest() {
  local python="$1"
  shift
  "$python" - "$@" <<'END'
import hashlib, os, pathlib, sys

digest = hashlib.sha256(f"{sys.version} {os.path.realpath(sys.base_prefix)} {os.getcwd()}".encode())
for name in sys.argv[1:]:
    digest.update(pathlib.Path(name).read_bytes())
print(digest.hexdigest())
END
}

_read() {
  cat "$1" 2>/dev/null || true
}
