"""Who may import whom, read from the sources, and what stays free of TensorFlow, tried in a fresh Python."""

from __future__ import annotations

import ast
import dataclasses
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("slim_train", "datasets", "deployment")

# From the top down, a line a layer: a room imports itself and rooms of lower layers, and no other.
ROOMS = (
    ("slim_train.cli",),
    ("slim_train.api",),
    ("slim_train.bulk",),
    ("slim_train.training", "slim_train.exporting", "slim_train.serving", "slim_train.retraining"),
    ("slim_train.evaluation",),
    ("slim_train.inference",),
    ("slim_train.model", "slim_train.optim", "slim_train.zoo"),
    ("slim_train.inputs", "slim_train.checkpoints"),
    ("slim_train.interchange",),
    ("slim_train.user_code",),
    ("slim_train.reports", "slim_train.nets", "slim_train.preprocessing"),
    ("slim_train",),  # the ground: its loose modules
    ("datasets", "deployment"),
)

# Its names are those of the rooms above, imported on first use.
FACE = "slim_train"

# (who, may not import what, because)
FORBIDDEN = (
    (r"datasets(\..+)?", r"(slim_train|deployment)(\..+)?", "data knows nothing of training"),
    (r"deployment(\..+)?", r"(slim_train|datasets)(\..+)?", "clusters know nothing of training and data"),
    (r"slim_train\.nets(\..+)?", r"(slim_train\.preprocessing|datasets|deployment)(\..+)?", "nets stand alone"),
    (
        # How far a JPEG is scaled is decided in one place, for Pillow and TensorFlow.
        r"slim_train\.preprocessing(\..+)?",
        r"(slim_train\.nets|datasets(?!\.scaled_jpeg$)|deployment)(\..+)?",
        "recipes stand alone",
    ),
    (
        r"slim_train\.(serving|inference)(\..+)?",
        r"slim_train\.(training|inputs|optim)(\..+)?",
        "serving never trains",
    ),
    # Users' files may define flags, which nobody reads but they.
    (r"slim_train\.(?!cli\b|user_code\.old_flags$).+", r"absl(\..+)?", "flags are read by the commands only"),
    # 'import tensorflow' is left for what compat.v1 lacks, tf_slim.nets for the trunks that it has.
    (
        r"slim_train\.(?!tf_compat$).+",
        r"tensorflow\.(compat|python)(\..+)?|(tf_)?keras(\..+)?|tf_slim(\.(?!nets).+)?",
        "tf, slim and Keras come from tf_compat",
    ),
)


def modules() -> dict[str, Path]:
    """Every module of the project by dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@functools.cache
def imports(module: str) -> frozenset[str]:
    """The modules that ``module`` imports anywhere in its source, inside functions too."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    return frozenset(name for node in ast.walk(tree) for name in imported_by(node, module))


def imported_by(node: ast.AST, module: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{module} has a relative import; the project's are absolute"
        for alias in node.names:
            # 'from package import module' imports that module, 'from module import name' the one the name is in.
            submodule = f"{node.module}.{alias.name}"
            yield submodule if submodule in MODULES else str(node.module)


def room(module: str) -> str:
    """The room that a module lies in: the folder below ``slim_train``, or the ground."""
    parts = module.split(".")
    is_in_room = parts[0] == "slim_train" and (ROOT / "slim_train" / "/".join(parts[1:2])).is_dir() and len(parts) > 1
    return ".".join(parts[: 2 if is_in_room else 1])


def layer(module: str) -> int:
    """Index into ROOMS. ValueError if the module lies in no room of the list."""
    return next(index for index, rooms in enumerate(ROOMS) if room(module) in rooms)


def test_every_module_lies_in_a_room_of_the_list() -> None:
    listed = {name for rooms in ROOMS for name in rooms}
    assert {room(module) for module in MODULES} == listed


def test_a_room_imports_only_rooms_of_lower_layers() -> None:
    upward = [
        f"{module} imports {imported}"
        for module in MODULES
        if module != FACE
        for imported in sorted(imports(module))
        if imported in MODULES and room(imported) != room(module) and layer(imported) <= layer(module)
    ]
    assert not upward, "\n".join(upward)


def test_no_module_imports_itself_through_others() -> None:
    """Packages are left out: their ``__init__`` imports what they offer."""
    pending = {
        module: {name for name in imports(module) if name in MODULES and MODULES[name].name != "__init__.py"} - {module}
        for module in MODULES
    }
    while free := {module for module, imported in pending.items() if not imported & pending.keys()}:
        pending = {module: imported for module, imported in pending.items() if module not in free}
    assert not pending, f"in a circle, or importing one: {', '.join(pending)}"


@pytest.mark.parametrize(("importer", "target"), [rule[:2] for rule in FORBIDDEN], ids=[rule[2] for rule in FORBIDDEN])
def test_forbidden_imports_are_absent(importer: str, target: str) -> None:
    broken = [
        f"{module} imports {imported}"
        for module in MODULES
        if re.fullmatch(importer, module)
        for imported in sorted(imports(module))
        if re.fullmatch(target, imported)
    ]
    assert not broken, "\n".join(broken)


# The one module that uses private names of TensorFlow.
TF_PRIVATE = "deployment.tf_private"
# Public, whatever their names look like.
PUBLIC_DESPITE_UNDERSCORE = {"_asdict", "_replace", "_fields", "_make", "_exit"}
PRIVATE_NAME = re.compile(r"_(?!_)\w+")


@dataclasses.dataclass(frozen=True)
class PrivateUse:
    """The use of a private name of an object.

    Attributes:
      name: the attribute.
      line: in the source.
      own_class: the class whose method uses it on ``self``, ``cls`` or ``super()``; None if the object is another.
    """

    name: str
    line: int
    own_class: str | None


def private_uses(node: ast.AST, own_class: str | None = None) -> Iterator[PrivateUse]:
    """Every use of a private attribute, and every import of a private name, below ``node``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Attribute) and PRIVATE_NAME.fullmatch(child.attr):
            yield PrivateUse(child.attr, child.lineno, own_class if is_self(child.value) else None)
        elif isinstance(child, ast.Call) and getattr(child.func, "id", "") in ("getattr", "setattr", "hasattr"):
            name = getattr(child.args[1], "value", "")  # a name that is computed is not looked at
            if isinstance(name, str) and PRIVATE_NAME.fullmatch(name):
                yield PrivateUse(name, child.lineno, own_class if is_self(child.args[0]) else None)
        elif isinstance(child, ast.ImportFrom):
            yield from (PrivateUse(a.name, child.lineno, None) for a in child.names if PRIVATE_NAME.fullmatch(a.name))
        yield from private_uses(child, child.name if isinstance(child, ast.ClassDef) else own_class)


def is_self(node: ast.AST) -> bool:
    """Whether ``node`` is ``self``, ``cls`` or ``super()``."""
    return ast.unparse(node) in ("self", "cls") or ast.unparse(node).startswith("super(")


def classes(tree: ast.AST) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def own_names(definition: ast.ClassDef) -> set[str]:
    """The attributes that a class defines: its methods, its fields, and what its methods assign to ``self``."""
    names = set()
    for node in ast.walk(definition):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            names.add(node.attr)
    return names


@functools.cache
def project_classes() -> dict[str, list[ast.ClassDef]]:
    """Every class of the project, by its name without the module."""
    found: dict[str, list[ast.ClassDef]] = {}
    for path in MODULES.values():
        for name, definition in classes(ast.parse(path.read_text(encoding="utf-8"))).items():
            found.setdefault(name, []).append(definition)
    return found


def base_names(definition: ast.ClassDef) -> set[str]:
    """The bases of a class, without their modules; those of TensorFlow are none of ours."""
    named = (ast.unparse(base) for base in definition.bases)
    return {base.rpartition(".")[2] for base in named if not base.startswith("tf.")}


def defines(definition: ast.ClassDef, name: str) -> bool:
    """Whether the class, or a base that the project defines, has an attribute ``name`` of its own."""
    lineage, pending, known = [definition], base_names(definition), set()
    while pending:
        known.add(base := pending.pop())
        lineage += project_classes().get(base, [])
        pending |= set().union(*map(base_names, project_classes().get(base, []))) - known
    return any(name in own_names(ancestor) for ancestor in lineage)


def foreign_private_uses(source: str) -> list[PrivateUse]:
    """The private names that a module uses of objects other than its own classes'."""
    tree = ast.parse(source)
    own = classes(tree)
    return [
        use
        for use in private_uses(tree)
        if use.name not in PUBLIC_DESPITE_UNDERSCORE and not (use.own_class and defines(own[use.own_class], use.name))
    ]


def test_private_names_belong_to_the_class_that_uses_them() -> None:
    """Those of TensorFlow are used in one module, and no object of ours is touched from outside."""
    foreign = [
        f"{path.relative_to(ROOT)}:{use.line} uses {use.name}"
        for module, path in MODULES.items()
        if module != TF_PRIVATE
        for use in foreign_private_uses(path.read_text(encoding="utf-8"))
    ]
    assert not foreign, "\n".join(foreign)


@pytest.mark.parametrize(
    "source",
    [
        "op._update_input(0, x)",
        "tf.Operation._set_device",
        "getattr(variable, '_cached_value')",
        "from tensorflow import _api",
        "class Mine(tf.train.AdamOptimizer):\n    def step(self):\n        return self._lr_t",
        "class Mine:\n    def same(self, other):\n        self._x = 1\n        return other._x",
    ],
)
def test_a_private_name_of_another_object_is_found(source: str) -> None:
    assert len(foreign_private_uses(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "row._asdict()",
        "os._exit(1)",
        "class Mine:\n    _x: int\n    def read(self):\n        return self._x",
        "class Mine(tf.train.Optimizer):\n    def _apply_dense(self, g, v):\n        return super()._apply_dense(g, v)",
    ],
)
def test_a_private_name_of_ones_own_is_not_found(source: str) -> None:
    assert not foreign_private_uses(source)


def test_modules_inside_of_tensorflow_are_named_nowhere() -> None:
    """As text, for ``importlib`` takes their names so; FORBIDDEN has the imports."""
    pattern = re.compile(r"tensorflow\.python\.\w+\.\w+")
    naming = [
        f"{module} names {found[0]}"
        for module, path in MODULES.items()
        if module != TF_PRIVATE and (found := pattern.search(path.read_text(encoding="utf-8")))
    ]
    assert not naming, "\n".join(naming)


# A path of a user's may be a URL: datasets.storage makes the path object. Where paths are of this machine, and why.
ONLY_THIS_MACHINE = (
    (r"datasets\.distributed\..+", "conversion on Spark: its workers share folders"),
    (r"datasets\.(storage|files|tensorflow_files|fsspec_files|url_path)", "the way to files itself"),
    (r"datasets\.(class_folders|output)", "the half for folders of this machine: links, locks"),
    (r"datasets\.(converted_folder|fer|packed|mnist|cifar10|archives)", "copies on this machine are read"),
    (r"datasets\.(image_list|manifests)", "what a conversion keeps on this machine"),
    (r"datasets\.(scan|inspection\..+)", "records of other tools are read by processes here"),
    (r"deployment\..+", "no files of users"),
    (r"slim_train\.(function_digest|own_packages|recipes|registry|user_functions)", "code and files of the package"),
    (r"slim_train\.(nets|preprocessing|user_code)\..+", "code is imported from this machine"),
    (r"slim_train\.api\.(flags|inspect_dataset|inspection|load)", "not yet"),
    (r"slim_train\.cli\.(launch_cluster|command)", "files of the package, and the status file"),
    (r"slim_train\.(bulk|zoo)\..+", "not yet"),
    (r"slim_train\.reports\.(fonts|training_curves)", "fonts of this machine; an open file"),
    (r"slim_train\.serving\.(app|sources)", "files of the package, and the walk through folders of this machine"),
    (r"datasets\.made_folders|slim_train\.checkpoints\.archives", "writes into the user's cache"),
    (r"datasets\.record_copies", "copies on this machine are read"),
    (r"datasets\.process_folder|slim_train\.checkpoints\.(copies|uploads|event_uploads)", "temporary folders"),
    (r"slim_train\.exporting\.run", "writes into a folder of this machine first"),
)
LOCAL_FILE_CALL = re.compile(
    r"(pathlib\.)?Path|open|(shutil|glob|os\.path)\.\w+"
    r"|os\.(fspath|open|scandir|listdir|stat|rename|replace|makedirs|mkdir|remove|unlink)"
)


def local_file_calls(module: str) -> list[str]:
    """Return the calls in a module that take any path for one of this machine."""
    calls = (node for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))) if isinstance(node, ast.Call))
    named = [(call.lineno, ast.unparse(call.func)) for call in calls]
    return [f"{module}:{line} calls {name}" for line, name in named if LOCAL_FILE_CALL.fullmatch(name)]


def test_paths_of_users_are_made_by_one_module() -> None:
    migrated = [name for name in MODULES if not any(re.fullmatch(pattern, name) for pattern, _ in ONLY_THIS_MACHINE)]
    assert [call for module in migrated for call in local_file_calls(module)] == []


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in ONLY_THIS_MACHINE])
def test_the_list_of_those_that_make_their_own_paths_only_shrinks(pattern: str) -> None:
    assert any(local_file_calls(module) for module in MODULES if re.fullmatch(pattern, module))


def without_tensorflow() -> list[str]:
    """The commands, and the modules whose docstrings say 'No TensorFlow'."""
    marked = []
    for module, path in MODULES.items():
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if "no tensorflow" in docstring.lower() or module.startswith("slim_train.cli"):
            marked.append(module)
    return marked


def in_fresh_python(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_modules_marked_no_tensorflow_import_without_it() -> None:
    marked = without_tensorflow()
    assert {"slim_train.config", "slim_train.checkpoints.scopes", "slim_train.cli.train_image_classifier"} <= set(
        marked
    )
    result = in_fresh_python(
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert 'tensorflow' not in sys.modules, f'importing {name} imports TensorFlow'\n",
        *marked,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stderr


def test_commands_can_check_datasets_and_deployment_before_they_import_them() -> None:
    """Another project's ``datasets`` may lie in their place: slim_train.own_packages."""
    result = in_fresh_python(
        "import importlib, sys\n"
        "sys.argv[0] = '-m'  # a command, which looks by itself\n"
        "sys.modules['datasets'] = sys.modules['deployment'] = None  # importing them is an error from here on\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n",
        *(module for module in MODULES if room(module) == "slim_train.cli"),
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stderr


def commands() -> list[str]:
    """The console commands that setup.py installs."""
    for node in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMMANDS":
            return list(ast.literal_eval(node.value))
    raise AssertionError("setup.py has no COMMANDS")


@pytest.mark.parametrize("command", commands())
def test_every_command_has_a_script_that_shows_its_help_without_tensorflow(command: str, tmp_path: Path) -> None:
    result = in_fresh_python(
        "import runpy, sys\n"
        "sys.modules['tensorflow'] = None  # importing it is an error from here on\n"
        "sys.argv = [sys.argv[1], '--help']\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n",
        str(ROOT / "scripts" / f"{command}.py"),
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert f"usage: {command} " in result.stdout
    assert "--config=" in result.stdout


# Modules that no unit test imports, and what tests them.
TESTED_OTHERWISE = (
    (r"slim_train\.nets\.(?!factory$|record$|costs$).+", "by name, in tests/unit/nets"),
    (r"slim_train\.(api\..+|cli\..+)", "through slim_train's functions and the commands"),
    (r"slim_train\.preprocessing\.(lenet|recipe)", "by name, in test_recipes"),
    (r"slim_train\.serving\.(answers|server|protocols\..+)", "by requests over HTTP"),
    (r"slim_train\.retraining\.report", "by the files of test_run"),
    (r"slim_train\.own_packages", "in fresh processes"),
    (r"slim_train\.bulk\.(conversion|spark_classifier)", "on Spark, in tests/integration"),
    (r"datasets\.(image_folder|registry)", "by conversions"),
)


def test_every_module_has_a_unit_test_that_imports_it() -> None:
    imported: set[str] = set()
    for path in (ROOT / "tests" / "unit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            imported |= set(imported_by(node, str(path)))
    untested = [
        module
        for module, path in MODULES.items()
        if path.name != "__init__.py" and module not in imported
        if not any(re.fullmatch(pattern, module) for pattern, _ in TESTED_OTHERWISE)
    ]
    assert not untested, "\n".join(untested)
