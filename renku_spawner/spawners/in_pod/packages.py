"""List the software of an image by reading files: Python, conda, R and Debian packages, interpreters, CUDA.

Run as ``python3 -I -S packages.py [<root> [<seconds>]]`` by any Python from 3.6 on, also as ``-c`` with this text. It
imports nothing but the standard library, because it runs in unknown images, and runs none of the installed software.
After *seconds* (1.5) it prints what it has found so far; half a second later a timer kills it if something hangs.
`renku_spawner/domain/software.py` parses its output.
"""

import os
import re
import signal
import sys
import time

PACKAGES = 5000
FILES = 20000  # entries to read of one folder
FOLDERS = 40  # of one kind, such as conda environments
HEAD = 4096  # bytes of a package's description
STATUS = 32 * 1024 * 1024
USUAL = "/opt/conda/bin:/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
R_LIBRARIES = ("lib/R/library", "lib/R/site-library", "local/lib/R/site-library", "lib64/R/library")
SITES = re.compile(r"(?:site|dist)-packages$")
FIELD = re.compile(r"^(Name|Package|Version|Priority|Status):(.*)$", re.MULTILINE)


def read_fields(text):
    """Return the fields of a package description; of a repeated one the first value."""
    return {name: value.strip(" ") for name, value in reversed(FIELD.findall(text))}


class Late(Exception):
    """The time is up."""


class Finder:
    """Collects what is found below `root` until `end`."""

    def __init__(self, root, seconds):
        self.root, self.end = root.rstrip("/"), time.monotonic() + seconds
        self.packages, self.of_conda, self.versions, self.cuda = {}, set(), {}, ""

    def in_time(self):
        if time.monotonic() > self.end:
            raise Late

    def add(self, kind, name, version):
        self.in_time()
        self.packages[(kind, line(name)[:200], line(version)[:100])] = None

    def interpreter(self, name, version):
        versions = self.versions.setdefault(name, [])
        if version and version not in versions:
            versions.append(version)

    def path(self, *parts):
        return self.root + os.path.join("/", *parts)

    def names(self, folder):
        """List the names in a folder, unsorted; empty if it does not exist."""
        found = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self.in_time()
                    found.append(entry.name)
                    if len(found) >= FILES:
                        break
        except OSError:
            pass
        return found

    def text(self, path, size=HEAD):
        self.in_time()
        try:
            with open(path if os.path.isfile(path) else os.devnull, "rb") as file:  # a pipe would never end
                return file.read(size).decode("utf-8", "replace")
        except OSError:
            return ""

    def fields(self, path):
        return read_fields(self.text(path))

    # Where to look

    def folders(self):
        """List the folders of programs: those of PATH, and the usual ones."""
        listed = (os.environ.get("PATH", "") + ":" + USUAL).split(":")
        return [path for path in dict.fromkeys(listed[:FOLDERS] + USUAL.split(":")) if path.startswith("/")]

    def programs(self, name):
        return [path for path in (self.path(folder, name) for folder in self.folders()) if os.path.isfile(path)]

    def prefixes(self):
        """List folders that have `bin` and `lib`: those of PATH, the targets of its links, and conda environments."""
        found = [os.path.dirname(self.path(folder)) for folder in self.folders()]
        for name in ("python3", "python", "R", "julia", "node"):
            found += [os.path.dirname(os.path.dirname(os.path.realpath(path))) for path in self.programs(name)]
        for prefix in list(dict.fromkeys(found)):
            envs = os.path.join(prefix, "envs")
            found += [os.path.join(envs, name) for name in sorted(self.names(envs))[:FOLDERS]]
        return [prefix for prefix in dict.fromkeys(map(os.path.realpath, found)) if os.path.isdir(prefix)]

    # What is installed

    def all(self):
        prefixes = self.prefixes()
        for prefix in prefixes:
            self.python(prefix)
        for prefix in prefixes:
            self.conda(prefix)
        for prefix in [*prefixes, self.path("usr")]:
            self.r(prefix)
        self.others()
        self.find_cuda()
        self.debian()
        self.alpine()

    def python(self, prefix):
        """Add the packages of each interpreter, except those that conda installed."""
        conda = os.path.isdir(os.path.join(prefix, "conda-meta"))
        for base in ("lib", "lib64", "local/lib"):
            folder = os.path.join(prefix, base)
            for name in sorted(self.names(folder))[:FILES]:
                if re.match(r"python3(\.\d+)?$", name) and not os.path.islink(os.path.join(folder, name)):
                    self.site(os.path.join(folder, name), conda)
                    self.interpreter("Python", self.python_version(prefix, name))

    def python_version(self, prefix, name):
        """Return the version as exactly as files tell it: "3.12.4", or else "3.12"."""
        if not os.path.exists(os.path.join(prefix, "bin", name)) or name == "python3":
            return ""
        header = self.text(os.path.join(prefix, "include", name, "patchlevel.h"))
        settings = self.text(os.path.join(prefix, "pyvenv.cfg"))
        found = re.search(r'PY_VERSION\s+"([^"]+)"', header) or re.search(r"^version\S* *= *(\S+)", settings, re.M)
        if not found and os.path.realpath(sys.executable) == os.path.realpath(os.path.join(prefix, "bin", name)):
            return sys.version.split()[0]
        return found.group(1) if found else name[len("python") :]

    def site(self, folder, conda):
        for name in self.names(folder):
            if SITES.search(name):
                where = os.path.join(folder, name)
                for entry in self.names(where):
                    if entry.endswith((".dist-info", ".egg-info")):
                        self.distribution(os.path.join(where, entry), entry.rpartition(".")[0], conda)

    def distribution(self, path, name, conda):
        if conda and self.text(os.path.join(path, "INSTALLER")).strip() == "conda":
            return
        fields = {}
        for file in ("METADATA", "PKG-INFO", ""):
            fields = fields or self.fields(os.path.join(path, file) if file else path)
        named, _, version = re.sub(r"-py3(\.\d+)?$", "", name).partition("-")
        self.add("python", fields.get("Name") or named, fields.get("Version") or version)

    def conda(self, prefix):
        for file in self.names(os.path.join(prefix, "conda-meta")):
            parts = file[: -len(".json")].rsplit("-", 2) if file.endswith(".json") else []
            if len(parts) == 3:
                self.add("conda", parts[0], parts[1])
                self.of_conda.add(parts[0])
                if parts[0] in ("cuda-version", "cudatoolkit", "cuda-cudart"):
                    self.cuda = self.cuda or parts[1]
                if parts[0] == "python":
                    self.interpreter("Python", parts[1])

    def r(self, prefix):
        for library in R_LIBRARIES:
            folder = os.path.join(prefix, library)
            for name in self.names(folder):
                fields = self.fields(os.path.join(folder, name, "DESCRIPTION"))
                if fields.get("Package") == "base":
                    self.interpreter("R", fields.get("Version"))
                if fields.get("Version") and not self.from_conda(fields):
                    self.add("r", fields.get("Package", name), fields["Version"])

    def from_conda(self, fields):
        """Return whether conda installed the package, as r-<name>; R's own packages come with r-base."""
        name = "base" if fields.get("Priority") == "base" else fields.get("Package", "").lower()
        return "r-" + name in self.of_conda

    def others(self):
        for path in self.programs("julia"):
            found = re.search(r"julia-v?(\d+(?:\.\d+)+)", os.path.realpath(path))
            self.interpreter("Julia", found and found.group(1))
        for path in self.programs("node"):
            prefix = os.path.dirname(os.path.dirname(os.path.realpath(path)))
            header = self.text(os.path.join(prefix, "include", "node", "node_version.h"), 4 * HEAD)
            parts = re.findall(r"#define NODE_(?:MAJOR|MINOR|PATCH)_VERSION (\d+)", header)
            self.interpreter("Node.js", ".".join(parts))

    def find_cuda(self):
        """Find CUDA's version in NVIDIA's files, or else in packages of conda or pip."""
        new = re.search(
            r'"cuda"\s{0,20}:\s{0,20}{[^{}]{0,300}"version"\s{0,20}:\s{0,20}"([^"]{1,100})"',
            self.text(self.path("usr/local/cuda/version.json")),
        )
        old = re.search(r"CUDA Version (\S+)", self.text(self.path("usr/local/cuda/version.txt")))
        pip = [key[2] for key in self.packages if key[0] == "python" and key[1].startswith("nvidia-cuda-runtime")]
        said = [found.group(1) for found in (new, old) if found] + [os.environ.get("CUDA_VERSION", ""), self.cuda, *pip]
        self.cuda = next(filter(None, said), "")

    def debian(self):
        folder = self.path("var/lib/dpkg/status.d")  # used by images without a package manager
        files = [os.path.join(folder, name) for name in self.names(folder) if not name.endswith(".md5sums")]
        for text in [self.text(self.path("var/lib/dpkg/status"), STATUS), *map(self.text, files)]:
            for stanza in text.split("\n\n"):
                fields = read_fields(stanza)
                name, version = fields.get("Package"), fields.get("Version", "")
                if name and fields.get("Status", "ok installed").endswith("ok installed"):
                    self.add("debian", name, version)
                    if re.match(r"python3\.\d+-minimal$", name):
                        self.interpreter("Python", version.partition("-")[0])

    def alpine(self):
        for stanza in self.text(self.path("lib/apk/db/installed"), STATUS).split("\n\n"):
            fields = dict(re.findall(r"^([PV]):(.*)$", stanza, re.MULTILINE))
            if fields.get("P"):
                self.add("other", fields["P"], fields.get("V", ""))


def line(text):
    """Return the text without tabs and line breaks, so that it fits into a field."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:400]).strip()


def report(finder, late):
    """Iterate over the lines of the report; version "3.12" is left out if there is a "3.12.4"."""
    packages = list(finder.packages)
    yield "renku-probe 1"
    for name, versions in finder.versions.items():
        exact = [one for one in versions if not any(other.startswith(one + ".") for other in versions)]
        if exact:
            yield "interpreter\t" + name + "\t" + line(", ".join(exact[:9]))
    if finder.cuda:
        yield "cuda\t" + line(finder.cuda)
    for found in packages[:PACKAGES]:
        yield "\t".join(found)
    yield "more\t" + str(len(packages[PACKAGES:]))
    yield "late" if late else "end"


def main(arguments):
    seconds = float(arguments[1]) if arguments[1:] else 1.5
    signal.setitimer(signal.ITIMER_REAL, seconds + 0.5)  # kills the process
    finder, late = Finder(*(arguments[:1] or ["/"]), seconds), False
    try:
        finder.all()
    except Exception:  # an image may contain anything: report what was found
        late = True
    out = "\n".join(report(finder, late)) + "\n"
    sys.stdout.buffer.write(out.encode("utf-8", "replace"))


if __name__ == "__main__":
    main(sys.argv[1:])
