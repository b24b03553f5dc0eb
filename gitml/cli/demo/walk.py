"""The whole path on real data: register, train, promote, get, replace, roll back, in a new folder.

Everything is done through `import gitml`; what is git's (clones, identities, the commit of a file) through the
room that runs git. Each step says in one line who did what, and the command that does the same.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, Any

from gitml.errors import Conflict, IntegrityError, UsageError

if TYPE_CHECKING:
    from gitml.api import Registry
    from gitml.cli.demo.digits import Labels, Trained
    from gitml.promotion.history import History

STAGES = """stages:
  staging:
    from: ["working/*", main]
  production:
    from: [staging]
    require:
      approvals: 1
      inputs_promoted: true
"""
_TITLE_WIDTH = 74


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was done.

    Attributes:
        number: From 1.
        title: Who did what.
        folder: Where the command runs, relative to the demo's folder.
        command: The command line that does the same.
    """

    number: int
    title: str
    folder: str
    command: str

    def __str__(self) -> str:
        prompt = "$" if self.folder == "." else f"{self.folder}$"
        return f"{self.number:>2}. {self.title:<{_TITLE_WIDTH}} {prompt} {self.command}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """What the demo leaves behind.

    Attributes:
        directory: Its folder: `ada` and `grace` are clones, `remote.git` the remote, `store` the store.
        steps: What was done, in order.
        accuracies: Of each model on images that it was not trained on.
        runs: The version that production runs at the end.
        history: Of production.
    """

    directory: Path
    steps: tuple[Step, ...]
    accuracies: dict[str, float]
    runs: str
    history: History


def demonstrate(directory: Path, say: Callable[[str], None] = lambda line: None) -> Demonstration:
    """Run the demo in a folder.

    Args:
        directory: The folder; made if it does not exist.
        say: Is called with each line for the person.

    Raises:
        UsageError: scikit-learn is not installed.
        Conflict: The folder is not empty.
    """
    digits = _training()
    folder = directory.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(
            f"{directory} is there already and not an empty folder",
            code="not-empty",
            hint="gitml demo NEW_FOLDER",
        )
    folder.mkdir(parents=True, exist_ok=True)
    return _Demo(folder, digits, say).run()


def _training() -> ModuleType:
    try:
        from gitml.cli.demo import digits
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("numpy", "sklearn", "threadpoolctl"):
            raise
        raise UsageError(
            f"the demo needs scikit-learn and NumPy, and {error.name} is not installed",
            code="extra-missing",
            hint="pip install 'gitml[demo]'",
        ) from error
    return digits


class _Demo:
    """The two people, their clones, and what they did so far."""

    def __init__(self, folder: Path, digits: ModuleType, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.ada, self.grace = folder / "ada", folder / "grace"
        self.remote, self.store = folder / "remote.git", folder / "store"
        self.digits = digits
        self.say = say
        self.steps: list[Step] = []

    def run(self) -> Demonstration:
        self._found()
        self._register_what_it_needs()
        first = self._train_and_register(hidden=0, version="1")
        self._describe()
        self._to_stage("models/digits endpoints/digits", "staging", request=1)
        self._to_stage("models/digits@staging endpoints/digits@staging", "production", request=2)
        self._check(first, version="1")
        second = self._train_and_register(hidden=64, version="2", branch="working/newmodel")
        self._branch_to_staging(request=3)
        self._to_stage("models/digits@staging", "production", request=4)
        self._check(second, version="2")
        self._roll_back(request=5)
        self._check(first, version="1")
        return self._finish({"1": first.accuracy, "2": second.accuracy})

    # --- the registry -------------------------------------------------------------------------------------------

    def _found(self) -> None:
        import gitml
        from gitml.git.repository import Repository

        # Made elsewhere: a bare repository that lies in another's work tree, as `make demo` wants it, is not opened.
        with TemporaryDirectory() as elsewhere:
            Repository.init(Path(elsewhere, "remote.git"), default_branch="main", bare=True).close()
            shutil.move(Path(elsewhere, "remote.git"), self.remote)
        self._clone_of("Ada", Repository.init(self.ada, default_branch="main"))
        gitml.init(self.ada, store=str(self.store), remote=str(self.remote))
        self._did(
            "Ada makes a repository a registry; a folder beside it is the store",
            "ada",
            "gitml init --store ../store --remote ../remote.git",
        )
        self._commit({"gitml.yaml": self._policy()}, "Production needs an approval")
        self._did(
            "Ada writes the rules: what goes to production needs an approval",
            "ada",
            "git commit -q -m 'Production needs an approval' gitml.yaml",
        )
        self._commit(
            {"train.py": Path(str(self.digits.__file__)).read_bytes(), ".gitignore": b"/data/\n/out/\n"},
            "Training",
        )
        self._did(
            "Ada commits the code that trains",
            "ada",
            "git add .gitignore train.py && git commit -q -m Training",
        )
        self._ada().push()
        self._did("Ada pushes: bytes first, then branches", "ada", "gitml push")
        self._clone_of("Grace", Repository.clone(str(self.remote), self.grace))
        self._did("Grace clones", ".", "git clone -q remote.git grace")

    def _clone_of(self, name: str, repository: Any) -> None:
        """Give a clone its person; as in `git config user.name`, but for what the user's own configuration says of keys."""
        person = f"[user]\n\tname = {name} Example\n\temail = {name.lower()}@example.com\n[commit]\n\tgpgsign = false\n"
        with (repository.git_dir / "config").open("a", encoding="utf-8") as stream:
            stream.write(person)
        repository.close()

    def _policy(self) -> bytes:
        kept, inside = [], False
        for line in (self.ada / "gitml.yaml").read_text(encoding="utf-8").splitlines(keepends=True):
            inside = line.startswith("stages:") or (inside and line.startswith((" ", "\n")))
            if line.startswith("stages:"):
                kept.append(STAGES)
            elif not inside:
                kept.append(line)
        return "".join(kept).encode()

    def _commit(self, files: dict[str, bytes], message: str) -> None:
        from gitml.git.repository import Repository

        repository = Repository.discover(self.ada)
        repository.commit_changes("main", files, message, expected_tip=repository.head().commit)
        repository.close()

    def _ada(self) -> Registry:
        from gitml.api import Registry

        return Registry(self.ada)

    def _grace(self) -> Registry:
        from gitml.api import Registry

        return Registry(self.grace)

    # --- registering --------------------------------------------------------------------------------------------

    def _register_what_it_needs(self) -> None:
        count = self.digits.write_data(self.ada / "data")
        made = self._ada().register(
            "datasets/digits",
            self.ada / "data",
            message="Handwritten digits, 8 x 8 pixels",
            labels={"licence": "CC-BY-4.0", "origin": "UCI"},
        )
        self._did(
            f"Ada registers {count:,} images of digits: {made.files} files, {_size(made.size_bytes)}",
            "ada",
            "gitml register datasets/digits data --label licence=CC-BY-4.0 --label origin=UCI"
            " -m 'Handwritten digits, 8 x 8 pixels'",
        )
        wanted = "".join(f"{name}=={version(name)}\n" for name in ("numpy", "scikit-learn"))
        self._write("out/environment/requirements.txt", wanted)
        self._ada().register(
            "environments/digits",
            self.ada / "out/environment",
            message=f"Python {platform.python_version()}",
        )
        self._did(
            "Ada registers the environment: its requirements",
            "ada",
            f"gitml register environments/digits out/environment -m 'Python {platform.python_version()}'",
        )

    def _train_and_register(self, *, hidden: int, version: str, branch: str | None = None) -> Trained:
        trained: Trained = self.digits.train(self.ada / "data", hidden)
        out = f"out/model-{version}"
        what = "One hidden layer" if hidden else "Linear"
        self.digits.save(trained, self.ada / out)
        command = f"python train.py data {out}" + (f" {hidden}" if hidden else "")
        self._did(
            f"Ada trains model {version}: {trained.accuracy:.1%} of unseen images are right", "ada", command
        )
        self._ada().register(
            "models/digits",
            self.ada / out,
            message=what,
            metrics={"accuracy": trained.accuracy},
            params={"hidden": hidden},
            inputs=["training=datasets/digits", "environments/digits"],
            source=str(self.ada / "train.py"),
            branch=branch,
        )
        on = f" --branch {branch}" if branch else ""
        self._did(
            f"Ada registers models/digits@{version} with metrics, inputs and source commit",
            "ada",
            f"gitml register models/digits {out} --metric accuracy={trained.accuracy} --param hidden={hidden}"
            f" --input training=datasets/digits --input environments/digits --source train.py -m '{what}'{on}",
        )
        if branch:
            self._ada().push()
            self._did("Ada pushes", "ada", "gitml push")
        else:
            self._register_experiment(trained)
        return trained

    def _register_experiment(self, trained: Trained) -> None:
        rows = "\n".join(",".join(str(count) for count in row) for row in trained.confusion.tolist())
        self._write("out/experiment/confusion.csv", rows + "\n")
        self._ada().register(
            "experiments/digits-linear",
            self.ada / "out/experiment",
            message="Is a linear model good enough?",
            metrics={"accuracy": trained.accuracy},
            params={"hidden": trained.hidden},
            inputs=["training=datasets/digits", "model=models/digits"],
        )
        self._did(
            "Ada registers the experiment: which digits are mistaken for which",
            "ada",
            f"gitml register experiments/digits-linear out/experiment --metric accuracy={trained.accuracy}"
            f" --param hidden={trained.hidden} --input training=datasets/digits --input model=models/digits"
            " -m 'Is a linear model good enough?'",
        )

    def _describe(self) -> None:
        definition = "model: models/digits@production\nroute: /digits\nreplicas: 2\n"
        self._write("out/endpoint/endpoint.yaml", definition)
        self._ada().register(
            "endpoints/digits", self.ada / "out/endpoint", message="Serves what production runs"
        )
        self._did(
            "Ada registers the definition of an endpoint",
            "ada",
            "gitml register endpoints/digits out/endpoint -m 'Serves what production runs'",
        )
        self._ada().push()
        self._did("Ada pushes", "ada", "gitml push")

    def _write(self, path: str, text: str) -> None:
        (self.ada / path).parent.mkdir(parents=True, exist_ok=True)
        (self.ada / path).write_text(text, encoding="utf-8")

    # --- promoting ----------------------------------------------------------------------------------------------

    def _to_stage(self, refs: str, stage: str, *, request: int) -> None:
        self._ada().promote(*refs.split(), target=stage)
        self._did(f"Ada asks for {stage}: request {request}", "ada", f"gitml promote {refs} -t {stage}")
        self._approve_and_merge(request, stage)

    def _branch_to_staging(self, *, request: int) -> None:
        self._ada().promote(source="working/newmodel", target="staging", repo=str(self.remote))
        self._did(
            f"Ada asks for staging with all that her branch added: request {request}",
            "ada",
            "gitml promote -s working/newmodel -t staging -r ../remote.git",
        )
        self._approve_and_merge(request, "staging")

    def _roll_back(self, *, request: int) -> None:
        self._ada().rollback("models/digits", target="production")
        self._did(
            f"Ada asks for the model that ran before: request {request}",
            "ada",
            "gitml rollback models/digits -t production",
        )
        self._approve_and_merge(request, "production")

    def _approve_and_merge(self, number: int, stage: str) -> None:
        self._grace().requests.approve(number, "Looks right")
        self._did(f"Grace approves request {number}", "grace", f"gitml pr approve {number} -m 'Looks right'")
        self._grace().requests.merge(number)
        self._did(f"Grace merges it: {stage} has moved", "grace", f"gitml pr merge {number}")

    def _check(self, expected: Trained, *, version: str) -> None:
        """Place what production runs in the second clone, and compare its predictions with the trainer's."""
        placed = self._grace().get("models/digits@production", self.grace / "out/model")
        self._did(
            f"Grace gets the model of production, {placed.ref}: wrote {placed.written} of 2 files",
            "grace",
            "gitml get models/digits@production -o out/model",
        )
        unseen, _ = self.digits.read_data(self.ada / "data/test.csv")
        found: Labels = self.digits.predict(self.digits.load(self.grace / "out/model"), unseen)
        if str(placed.ref) != f"models/digits@{version}" or found.tolist() != expected.predictions.tolist():
            raise IntegrityError(
                f"{placed.ref} in the second clone predicts other digits than model {version} did for its trainer",
                code="demo-differs",
                hint="gitml verify --deep",
            )
        self.say(f"    Its {len(found)} predictions equal the trainer's.")

    # --- the end ------------------------------------------------------------------------------------------------

    def _finish(self, accuracies: dict[str, float]) -> Demonstration:
        self._grace().verify(all=True, deep=True)
        self._did("Grace reads every byte again and checks it", "grace", "gitml verify --all --deep")
        history = self._grace().history("production")
        self._did("Grace asks who put what into production", "grace", "gitml history production")
        for entry in history.entries:
            self.say(_entry_line(entry))
        self.say(
            f"Explore {self.folder}: ada and grace are clones, remote.git is the remote, store holds the bytes."
        )
        runs = self._grace().show("models/digits@production").ref
        return Demonstration(
            directory=self.folder,
            steps=tuple(self.steps),
            accuracies=accuracies,
            runs=str(runs),
            history=history,
        )

    def _did(self, title: str, folder: str, command: str) -> None:
        step = Step(number=len(self.steps) + 1, title=title, folder=folder, command=command)
        self.steps.append(step)
        self.say(str(step))


def _entry_line(entry: Any) -> str:
    before = f"{entry.from_version} -> " if entry.from_version is not None else ""
    return f"    {entry.time:%Y-%m-%dT%H:%M:%SZ}  {entry.asset}  {before}{entry.to_version}  request {entry.request}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1024:.1f} KiB"
