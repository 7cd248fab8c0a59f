"""Everything that the documentation names exists: links, files, names, targets, commands."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator

import pytest

from tests.docs import project_index as project

PAGES = sorted(
    file
    for file in project.files()
    if file.endswith(".md") and file.split("/")[0] not in {"tests", "benchmarks"}
)
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?")
_SUFFIX = re.compile(r"\.(py|md|toml|ya?ml|json|sql|c|h|so|sh|png|lock|gz)$")
_DOTTED = re.compile(r"[a-z_]\w*(?:\.\w+)+")
_ASSET = re.compile(r"(?:chain|market|voting|submissions|reconciliation)/[a-z_]+")
_DEFINITION = re.compile(r"[a-z]\w*_(?:sensor|schedule)")
_SETTING = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_ASSIGNMENT = re.compile(r"[A-Z_][A-Z0-9_]*=\S*")
_SHELL = {"sh", "bash", "console", ""}

# Texts of the form of a command or setting that are neither.
NOT_COMMANDS = {"zmart ballots <CID>"}  # the memo of a transaction
NOT_SETTINGS = {"CONTROL_URL", "REALTIME_CHAOS_SEED", "RECORD_EXAMPLES", "TIMESTAMP_MS"}
# What the running system keeps, not the repository.
NOT_TRACKED = (".zmart", ".venv", ".env")
NOT_FILES = {"ballots.json"}


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower())
    return plain.replace(" ", "-")


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings."""
    text = _FENCE.sub("", (project.ROOT / page).read_text())
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def link_fault(target: str, page: str) -> str | None:
    """Return what is wrong with a link's target; other sites are not followed."""
    if re.match(r"[a-z]+:", target):
        return None
    path, _, anchor = target.partition("#")
    there = (project.ROOT / page).parent / path if path else project.ROOT / page
    if not there.exists():
        return f"link to {target}: no such file"
    if anchor and anchor not in anchors(str(there.resolve().relative_to(project.ROOT))):
        return f"link to {target}: no such heading"
    return None


def path_fault(text: str, page: str) -> str | None:
    """Return what is wrong with a path, or None; anything that is no path passes."""
    if not _PATH.fullmatch(text) or text in NOT_FILES or text.startswith(NOT_TRACKED):
        return None
    in_folder = "/" in text.rstrip("/") or text.endswith("/")
    of_ours = in_folder and text.split("/")[0] in project.FOLDERS
    if (of_ours or _SUFFIX.search(text)) and not project.has_path(text, page):
        return f"{text}: no such file"
    return None


def dotted_fault(text: str, _page: str) -> str | None:
    """Return what is wrong with a dotted name of code or of a table, or None."""
    dotted = text.partition("(")[0]
    if not _DOTTED.fullmatch(dotted) or _SUFFIX.search(dotted):
        return None
    head = dotted.split(".")[0]
    if head in project.PACKAGES:
        return None if project.has_code(dotted) else f"{dotted}: no such name"
    if head not in project.short_names():
        return None
    if dotted in project.relations() or project.has_code_below(dotted):
        return None
    return f"{dotted}: no such name or table"


def definition_fault(text: str, _page: str) -> str | None:
    """Return what is wrong with a name that Dagster shows, or None."""
    if _ASSET.fullmatch(text):
        if f'"{text}"' in project.dagster_source() or project.has_path(text):
            return None
        return f"{text}: no such asset"
    if not _DEFINITION.fullmatch(text):
        return None
    # A schedule is named for its job.
    names = (text, text.removesuffix("_schedule"))
    if any(f'"{name}"' in project.dagster_source() for name in names):
        return None
    return f"{text}: no such sensor or schedule"


def setting_fault(text: str, _page: str) -> str | None:
    """Return what is wrong with the name of a setting, or None."""
    name = text.partition("=")[0]
    if not _SETTING.fullmatch(name) or name in NOT_SETTINGS | project.setting_names():
        return None
    return f"{name}: no such setting"


def command_faults(line: str) -> Iterator[str]:
    """Yield what is wrong with the commands of one line of shell."""
    if line.strip() in NOT_COMMANDS:
        return
    for command in re.split(r"&&|\||;", line.partition(" #")[0]):
        words = command.split()
        while words and _ASSIGNMENT.fullmatch(words[0]):
            words.pop(0)
        match words:
            case ["make", target, *_] if re.fullmatch(r"[a-z][\w-]*", target):
                if target not in project.make_targets():
                    yield f"make {target}: no such target"
            case [program, *rest] if program.split("/")[-1] == "zmart":
                fault = project.command_fault(rest)
                if fault is not None:
                    yield fault
            case [_, "-m", module, *_] if module.split(".")[0] in project.PACKAGES:
                if not project.has_code(module):
                    yield f"{module}: no such module"


SPAN_FAULTS: tuple[Callable[[str, str], str | None], ...] = (
    path_fault,
    dotted_fault,
    definition_fault,
    setting_fault,
)


def fence_faults(language: str, body: str, page: str) -> Iterator[str]:
    """Yield what is wrong inside a block of code."""
    if language in _SHELL:
        for line in body.splitlines():
            yield from command_faults(line)
            for name in re.findall(r"\b([A-Z][A-Z0-9_]+)=", line):
                fault = setting_fault(name, page)
                if fault is not None:
                    yield fault
    if language in {"python", "mermaid", "sh"}:
        for word in re.findall(r"[\w./]*\w", body):
            if word.endswith(".py") or word.split(".")[0] in project.PACKAGES:
                yield from filter(None, (path_fault(word, page), dotted_fault(word, page)))


def faults(text: str, page: str = "README.md") -> list[str]:
    """Return everything that a page names and that does not exist."""
    found: list[str] = []
    for _, language, body in _FENCE.findall(text):
        found += fence_faults(language, textwrap.dedent(body), page)
    prose = _FENCE.sub("", text)
    for span in _SPAN.findall(prose):
        words = " ".join(span.split())
        found += command_faults(words)
        found += filter(None, (fault(words, page) for fault in SPAN_FAULTS))
    for target in _LINK.findall(_SPAN.sub("code", prose)):
        found += filter(None, [link_fault(target, page)])
    return found


@pytest.mark.parametrize("page", PAGES)
def test_page_names_only_what_exists(page: str) -> None:
    assert faults((project.ROOT / page).read_text(), page) == []


def test_readme_answers_each_question_in_one_hop() -> None:
    links = set(_LINK.findall((project.ROOT / "README.md").read_text()))
    assert links >= {
        "zmart_pipelines/program/",  # a fact about the program
        "zmart_pipelines/ledger/ingest/writer.py",  # where a webhook becomes a row
        "zmart_pipelines/submissions/driver.py",  # what may send a transaction
        "CONTRIBUTING.md#recipes",  # how to add something
        "docs/architecture.md#where-is-it",
        "docs/glossary.md",
        "docs/decisions/README.md",
    }


@pytest.mark.parametrize("index", ["README.md", "docs/decisions/README.md"])
def test_index_links_every_page_of_its_folder(index: str) -> None:
    folder = "docs/" if index == "README.md" else "docs/decisions/"
    pages = {page for page in PAGES if page.rpartition("/")[0] == folder.rstrip("/")} - {index}
    linked = _LINK.findall((project.ROOT / index).read_text())
    base = (project.ROOT / index).parent
    found = {(base / link.partition("#")[0]).resolve() for link in linked}
    assert {page for page in pages if project.ROOT / page not in found} == set()


def test_each_addition_has_a_recipe() -> None:
    assert anchors("CONTRIBUTING.md") >= {
        "an-event",
        "an-asset",
        "a-check",
        "a-sensor",
        "a-route",
        "a-setting",
        "an-alert",
        "a-column-or-a-migration",
    }


@pytest.mark.parametrize(
    "text",
    [
        "[ledger](docs/legder.md)",
        "[ledger](docs/ledger.md#no-such-heading)",
        "`zmart_pipelines/ledger/quick.py`",
        "`no/such/file.py`",
        "`docs/nothing/`",
        "`zmart_pipelines.ledger.quick`",
        "`zmart_pipelines.voting.ballot.no_such_function`",
        "`policies.no_such_function`",
        "`market.no_such_table`",
        "`market/no_such_asset`",
        "`no_such_sensor`",
        "`NO_SUCH_SETTING`",
        "`make no-such-target`",
        "`zmart no-such-command`",
        "`zmart webhook no-such-command`",
        "`zmart status --no-such-option`",
        "```sh\n.venv/bin/zmart no-such-command   # a comment\n```",
        "```sh\nNO_SUCH_SETTING=1 make up\n```",
        "```sh\nmake check && make no-such-target\n```",
        "```sh\npython -m assets.no_such_module\n```",
        "```mermaid\nparticipant A as api/routes/no_such.py\n```",
        "```python\nfrom zmart_pipelines.ipfs.no_such_module import x\n```",
    ],
)
def test_name_that_does_not_exist_is_reported(text: str) -> None:
    assert len(faults(text)) >= 1


@pytest.mark.parametrize(
    "text",
    [
        "[elsewhere](https://example.org/nothing.md) and [here](docs/ledger.md#commitment)",
        "`zmart_pipelines/settings.py`, `settings.py`, `docs/`, `/api/markets`, `GET /health`",
        "`zmart_pipelines.voting.ballot`, `policies.decide`, `market.markets`, `chain/coverage`",
        "`make up`, `API_PORT=4100 make up`, `zmart status --json`, `zmart ballots <CID>`",
        "`DATABASE_URL`, `alert_sensor`, `clean_up_schedule`, `python -m assets.run_checks --json`",
    ],
)
def test_name_that_exists_passes(text: str) -> None:
    assert faults(text) == []
