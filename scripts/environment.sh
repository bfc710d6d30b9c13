# Sourced by the other scripts, after `cd` to the checkout: makes .venv and keeps it up to date.
#
#   prepare_environment dev,demo     # installs the checkout, editable, with these extras of setup.py
#
# PYTHON names the Python that makes the environment; the default is the first fit one of python3, python3.13 ...
# python3.10. The environment is made anew when that Python or the folder changes, and brought up to date when setup.py
# or pyproject.toml does. A .venv that somebody else made is never cleared: it is used if it fits. Written for bash 3.2,
# which macOS has.

prepare_environment() {
  local extras="$1" python home requirements
  python="$(_find_python)" || return 2
  home="$(_digest "$python")"
  requirements="$(_digest "$python" setup.py pyproject.toml)"
  if [ "$(_read .venv/made-for)" != "$home" ]; then
    if _may_be_cleared; then
      _make_environment "$python" "$home" || return 1
    elif ! _fits "$home"; then
      echo "error: .venv was not made by this script and does not fit: with pip and ${PYTHON:-Python 3.10 to 3.13}, made" \
        "in this folder, it would be used. Move it away, or remove it if nothing in it is needed." >&2
      return 2
    fi
  fi
  if [ "$(_read ".venv/installed-$extras")" != "$requirements" ]; then
    echo "Installing slim-train[$extras] into .venv; the first time this downloads TensorFlow and takes minutes"
    .venv/bin/python -m pip install -qq --disable-pip-version-check --editable ".[$extras]" || return 1
    echo "$requirements" >".venv/installed-$extras"
  fi
}

# Whether there is no .venv, or one that this script made. What a link points to is for others to clear.
_may_be_cleared() {
  [ ! -L .venv ] && { [ ! -e .venv ] || [ -e .venv/made-for ]; }
}

_make_environment() {
  local python="$1" home="$2"
  echo "Making .venv with $("$python" --version)"
  "$python" -m venv --clear --without-pip .venv || return 1
  # Marked before the slow part: should that be stopped, the next run may start over.
  : >.venv/made-for
  if ! .venv/bin/python -m ensurepip --default-pip >/dev/null; then
    echo "error: $python has no pip for new environments (on Debian and Ubuntu: apt install python3-venv)." >&2
    return 1
  fi
  echo "$home" >.venv/made-for
}

# Its pip runs only in the folder it was made for.
_fits() {
  _is_supported .venv/bin/python && .venv/bin/pip --version >/dev/null 2>&1 || return 1
  [ -z "${PYTHON:-}" ] || [ "$(_digest .venv/bin/python)" = "$1" ]
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
