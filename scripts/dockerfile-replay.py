#!/usr/bin/env python3
"""Replays a Dockerfile in a plain directory, without a container engine.

    scripts/dockerfile-replay.py FOLDER

Each stage becomes FOLDER/<stage name or number>. WORKDIR, ENV, COPY (honoring .dockerignore and --from) and RUN are
executed there in order, so missing paths and failing commands are found. FOLDER/image.json holds the metadata of the
last stage: user, environment, entrypoint, command, health check.

Limits: a stage starts empty, so its commands run with this machine's programs instead of those of its base image. Unknown
instructions and flags are errors, and so is a RUN with an absolute path.
"""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

CONTEXT = Path(__file__).resolve().parent.parent


def fail(why):
    sys.exit(f"error: Dockerfile: {why}")


def instructions(text):
    """Yields (line, name, arguments) of each instruction; joins continued lines and skips comments."""
    joined, begun = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and not joined):
            continue
        begun = begun if joined else number
        joined += line
        if joined.endswith("\\"):
            joined = joined[:-1] + " "
            continue
        name, _, rest = joined.strip().partition(" ")
        yield begun, name.upper(), rest.strip()
        joined = ""
    if joined:
        fail(f"line {begun}: unterminated instruction")


def ignored():
    """Returns a predicate for paths that .dockerignore excludes; the last matching line decides."""
    rules = []
    for line in (CONTEXT / ".dockerignore").read_text().splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            rules.append((line.startswith("!"), line.lstrip("!").strip("/")))

    def is_ignored(path):
        parts, out = path.parts, False
        for keeps, pattern in rules:
            above = ("/".join(parts[: n + 1]) for n in range(len(parts)))
            if any(fnmatch.fnmatchcase(folder, pattern) for folder in above):
                out = not keeps
        return out

    return is_ignored


class Stage:
    def __init__(self, folder, base):
        self.root, self.base, self.workdir = folder, base, "/"
        self.env, self.image = {}, {"Env": {}, "User": None, "Entrypoint": None, "Cmd": None}
        self.root.mkdir(parents=True)

    def at(self, path):
        """Maps a path of the image to a path on this machine."""
        return self.root / os.path.normpath(os.path.join(self.workdir, path)).lstrip("/")

    def copy(self, words, stages, is_ignored):
        source_root, given = CONTEXT, True
        while words[0].startswith("--"):
            flag, _, value = words.pop(0).partition("=")
            if flag == "--from":
                source_root, given = stages[value].root, False
            elif flag not in ("--chown", "--chmod"):
                fail(f"COPY: unsupported flag `{flag}`")
        *sources, target = words
        into = target.endswith("/") or len(sources) > 1
        for source in sources:
            path = source_root / source.lstrip("/")
            if not path.exists():
                fail(f"COPY: no such file `{source}`")
            files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
            if given:
                files = [p for p in files if not is_ignored(p.relative_to(CONTEXT))]
            if not files:
                fail(f"COPY: .dockerignore excludes everything in `{source}`")
            for file in files:
                to = self.at(target)
                if path.is_dir():
                    to = to / file.relative_to(path)
                elif into:
                    to = to / file.name
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, to)

    def run(self, number, rest):
        if re.search(r"(^|[\s=>])/\w", rest):
            fail(f"line {number}: RUN with an absolute path is not supported")
        folder = self.at(".")
        folder.mkdir(parents=True, exist_ok=True)
        print(f"replay: line {number}: RUN {rest[:100]}", flush=True)
        done = subprocess.run(["/bin/sh", "-c", rest], cwd=folder, env={**os.environ, **self.env}, check=False)
        if done.returncode != 0:
            fail(f"line {number}: RUN exited with status {done.returncode}")


def replay(folder):
    stages, stage, is_ignored = {}, None, ignored()
    for number, name, rest in instructions((CONTEXT / "Dockerfile").read_text()):
        if name == "FROM":
            words = rest.split()
            named = words[2] if len(words) == 3 and words[1].upper() == "AS" else str(len(stages))
            stage = stages[named] = Stage(folder / named, words[0])
        elif stage is None:
            fail(f"line {number}: {name} before FROM is not supported")
        elif name == "WORKDIR":
            stage.workdir = os.path.join(stage.workdir, rest)
            stage.at(".").mkdir(parents=True, exist_ok=True)
        elif name == "ENV":
            stage.env.update(word.split("=", 1) for word in shlex.split(rest))
        elif name == "COPY":
            stage.copy(shlex.split(rest), stages, is_ignored)
        elif name == "RUN":
            stage.run(number, rest)
        elif name == "USER":
            stage.image["User"] = rest
        elif name in ("ENTRYPOINT", "CMD"):
            stage.image[name.capitalize()] = json.loads(rest)
        elif name == "HEALTHCHECK":
            command = rest.split(" CMD ", 1)[1]
            stage.image["Healthcheck"] = json.loads(command)
        elif name not in ("EXPOSE", "LABEL"):
            fail(f"line {number}: unsupported instruction `{name}`")
    stage.image.update({"Env": stage.env, "Base": stage.base, "Root": str(stage.root)})
    (folder / "image.json").write_text(json.dumps(stage.image, indent=2) + "\n")
    return stages


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: scripts/dockerfile-replay.py FOLDER")
    folder = Path(sys.argv[1]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    stages = replay(folder)
    channel = re.search(r'channel = "(.+)"', (CONTEXT / "rust-toolchain.toml").read_text())[1]
    if not any(stage.base.startswith(f"rust:{channel}-") for stage in stages.values()):
        fail(f"no stage is based on rust:{channel}, the toolchain in rust-toolchain.toml")


if __name__ == "__main__":
    main()
