"""Bare repositories that are worth measuring, as a real server would hold them.

A real server has one pack with a reverse index and a bitmap, a commit-graph, and thousands of refs; without them
git-upload-pack itself becomes what is measured. Prepared repositories are cached by name in a work directory; making
one is done aside and renamed into place, so that what is there is whole.
"""

import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

# Sources that the benchmark knows: a bare (possibly partial) mirror each. Missing ones are left out by callers.
KNOWN_MIRRORS = {
    "workers-sdk": Path("/work/.mirror/cloudflare+workers-sdk/repo"),
    "git": Path("/work/.mirror/git+git/repo"),
}
GENERATED = "files100k"
GENERATED_FILES = 100_000
GENERATED_TAGS = 3_000
GENERATED_BRANCHES = 400


def git(*arguments, cwd="/", stdin=None, check=True):
    """Runs git outside of any repository and free of the caller's GIT_* variables; returns its output as bytes."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment.update(GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null", GIT_NO_LAZY_FETCH="1",
                       GIT_TERMINAL_PROMPT="0", LC_ALL="C")
    return subprocess.run(["git", *map(str, arguments)], cwd=cwd, input=stdin, check=check, env=environment,
                          stdout=subprocess.PIPE).stdout


def prepare(name, work_directory, source=None):
    """The path of `work_directory`/`name`.git, made if it does not exist.

    `source` is a repository to copy; without one `name` must be GENERATED or one of KNOWN_MIRRORS.
    """
    work_directory = Path(work_directory)
    target = work_directory / f"{name}.git"
    if target.exists():
        return target
    if source is None and name != GENERATED:
        source = KNOWN_MIRRORS[name]
    work_directory.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=work_directory))
    try:
        repository = aside / "repo.git"
        git("init", "--quiet", "--bare", repository)
        if source is None:
            generate(repository)
        else:
            copy_complete_refs(find_git_directory(Path(source)), repository)
        pack_like_a_server(repository)
        try:
            repository.rename(target)
        except OSError:
            if not target.exists():  # else somebody else was quicker
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def find_git_directory(path):
    inside = git("-C", path, "rev-parse", "--absolute-git-dir", check=False).decode().strip()
    return Path(inside) if inside else path


def copy_complete_refs(source, repository):
    """Copies HEAD and every ref of which all objects are there; a partial clone's other refs are left out."""
    common = Path(git("--git-dir", source, "rev-parse", "--git-common-dir").decode().strip())
    objects = (source / common / "objects") if not common.is_absolute() else common / "objects"
    shutil.rmtree(repository / "objects")
    shutil.copytree(objects, repository / "objects", copy_function=link_or_copy,
                    ignore=shutil.ignore_patterns("*.promisor", "*.bitmap", "*.keep", "commit-graph*", "tmp_*"))
    for directory in ("info", "pack"):
        (repository / "objects" / directory).mkdir(exist_ok=True)

    head = git("--git-dir", source, "symbolic-ref", "HEAD", check=False).decode().strip() or "refs/heads/main"
    head_oid = git("--git-dir", source, "rev-parse", "--verify", "HEAD").decode().strip()
    if missing_objects(repository, [head_oid]):
        raise RuntimeError(f"cannot serve '{source}': HEAD lacks objects (a partial clone with too little in it)")
    listed = git("--git-dir", source, "for-each-ref", "--format=%(objectname) %(refname) %(symref)").decode()
    refs = [line.split(" ", 2) for line in listed.splitlines()]
    refs = [(oid, name) for oid, name, symref in refs
            if not symref and not name.startswith(("refs/remotes/", "refs/stash"))]
    complete = complete_refs(repository, refs, head_oid)
    if (head_oid, head) not in complete:
        complete.append((head_oid, head))
    git("--git-dir", repository, "update-ref", "--stdin",
        stdin="".join(f"update {name} {oid}\n" for oid, name in complete).encode())
    git("--git-dir", repository, "symbolic-ref", "HEAD", head)


def link_or_copy(source, target):
    try:
        os.link(source, target)  # git never changes a file below objects/ in place
    except OSError:
        shutil.copy2(source, target)


def missing_objects(repository, tips, known_good=()):
    revisions = "".join(f"{oid}\n" for oid in tips) + "".join(f"^{oid}\n" for oid in known_good)
    listed = git("--git-dir", repository, "rev-list", "--objects", "--missing=print", "--stdin",
                 stdin=revisions.encode(), check=False)
    return [line for line in listed.split(b"\n") if line.startswith(b"?")]


def complete_refs(repository, refs, head_oid):
    """Halves the list until what lacks objects stands alone: a few dozen cheap walks instead of one a ref."""
    if not refs or not missing_objects(repository, [oid for oid, _ in refs], [head_oid]):
        return list(refs)
    if len(refs) == 1:
        return []
    middle = len(refs) // 2
    return (complete_refs(repository, refs[:middle], head_oid) + complete_refs(repository, refs[middle:], head_oid))


def pack_like_a_server(repository):
    for key, value in {
            "pack.writeReverseIndex": "true",
            "repack.writeBitmaps": "true",
            "core.commitGraph": "true",
            "uploadpack.allowFilter": "true",
            "uploadpack.allowAnySHA1InWant": "true",
            "transfer.advertiseObjectInfo": "true",
            "http.receivepack": "true",
            "gc.auto": "0",
            "receive.autogc": "false",
    }.items():
        git("--git-dir", repository, "config", key, value)
    git("--git-dir", repository, "repack", "-a", "-d", "-q", "--write-bitmap-index")
    git("--git-dir", repository, "prune-packed", "-q")
    git("--git-dir", repository, "pack-refs", "--all", "--prune")
    git("--git-dir", repository, "commit-graph", "write", "--reachable", "--no-progress")
    git("--git-dir", repository, "update-server-info")


WORDS = ("mount tree blob commit kernel inode index fetch want have shallow filter pack delta offset object server "
         "branch merge rebase status remote cache segment frame reader writer queue worker thread mutex lock page "
         "entry lookup negative symlink socket stream buffer limit retry backoff timer clock value error result"
         ).split()


def generate(repository):
    """GENERATED_FILES files in directories of 25, with executables, symlinks and odd names; the same in every run.

    Sizes follow what source trees have: a median of 1.5 KB, some of 100 KB.
    """
    importer = subprocess.Popen(["git", "--git-dir", str(repository), "fast-import", "--quiet", "--done"],
                                stdin=subprocess.PIPE, cwd="/")
    out = importer.stdin
    randomness = random.Random(100_000)
    lines = [" ".join(randomness.choices(WORDS, k=randomness.randint(3, 12))) for _ in range(4096)]

    def data(content):
        out.write(b"data %d\n%s\n" % (len(content), content))

    def commit(ref, mark, time, message, parent=None):
        out.write(f"commit {ref}\nmark :{mark}\ncommitter Bench <bench@example.org> {time} +0000\n".encode())
        data(message.encode())
        if parent:
            out.write(f"from :{parent}\n".encode())

    def text(index):
        wanted_bytes = min(int(randomness.lognormvariate(7.3, 1.1)), 400_000)
        parts, size = [f"file {index}"], 0
        while size < wanted_bytes:
            line = lines[randomness.randrange(len(lines))]
            parts.append(line)
            size += len(line) + 1
        return ("\n".join(parts) + "\n").encode()

    start_time = 1_700_000_000
    paths = []
    commit("refs/heads/main", 1, start_time, "All files")
    for index in range(GENERATED_FILES):
        directory = f"area{index // 5000:02d}/module{index // 500 % 10}/part{index // 25 % 20:02d}"
        if index % 1000 == 997:
            out.write(f"M 120000 inline {directory}/link{index}\n".encode())
            data(f"../part00/file{index // 500 * 500}.c".encode())
            continue
        name = f"file{index}.c" if index % 500 else f"file{index // 500 * 500}.c"
        if index % 1000 == 499:
            name = f"\u00e4 name, with spaces {index}.txt"
        paths.append(f"{directory}/{name}")
        out.write(f"M {'100755' if index % 50 == 7 else '100644'} inline {paths[-1]}\n".encode())
        data(text(index))
    for number in range(GENERATED_TAGS):
        mark = number + 2
        commit("refs/heads/main", mark, start_time + 60 * mark, f"Change {number}", mark - 1)
        out.write(f"M 100644 inline {paths[number * 31 % len(paths)]}\n".encode())
        data(text(number))
        out.write(f"reset refs/tags/v0.{number}\nfrom :{mark}\n\n".encode())
    for number in range(GENERATED_BRANCHES):
        mark = GENERATED_TAGS + number + 2
        commit(f"refs/heads/topic/{number}", mark, start_time + 60 * mark, f"Topic {number}", number * 7 % 3000 + 1)
        out.write(f"M 100644 inline {paths[number * 37 % len(paths)]}\n".encode())
        data(text(number))
    out.write(b"done\n")
    out.close()
    if importer.wait() != 0:
        raise RuntimeError(f"cannot generate '{repository}': git fast-import failed")
    git("--git-dir", repository, "symbolic-ref", "HEAD", "refs/heads/main")
