"""clattn tune as a user meets it, on the CPU device with small problems:

    tune_test.py CLATTN KERNELS failures|kills|processes|stores|exchange

failures: kernels that don't compile, compute wrong numbers, hang or ask for too much local memory
kills: SIGKILL at random moments, and --resume
processes: two at a time with one store
stores: truncated, from a newer version, read-only
exchange: export, import, export

Exit status 77 says that there is no CPU device.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PROBLEM = {"q_len": 60, "kv_len": 70, "head_dim": 32}


class Place:
    """A folder with a tuning store and a journal of its own."""

    def __init__(self, folder, clattn):
        self.folder = pathlib.Path(folder)
        self.clattn = clattn
        self.store = self.folder / "data" / "clattn" / "tuning.json"
        self.environment = {**os.environ, "XDG_DATA_HOME": str(self.folder / "data"),
                            "XDG_STATE_HOME": str(self.folder / "state")}

    def command(self, *arguments):
        return [self.clattn, "tune", *map(str, arguments)]

    def run(self, *arguments, status=0):
        done = subprocess.run(self.command(*arguments), env=self.environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=900)
        assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    def entries(self):
        return json.loads(self.store.read_text())["entries"]

    def journal(self):
        (path,) = (self.folder / "state" / "clattn" / "tune").iterdir()
        return path


def search(problem, *arguments):
    return ["--device", "cpu", "--family", "cpu", "--problem", json.dumps(problem), *arguments]


def problem_of(keys):
    return {**PROBLEM, "kv_len": keys}


def failures(place, kernels):
    changed = place.folder / "kernels"
    shutil.copytree(kernels, changed)
    path = changed / "cpu" / "attention.cl"
    text = path.read_text()
    start = "  const hooks_t hooks = HOOKS(arguments);\n"
    scale = "arguments.query_scale,"
    assert text.count(start) == 1 and text.count(scale) == 1
    text = text.replace(start, start + """
#if KEY_TILE == 16
#error "not today"
#endif
#if KEY_TILE == 32
  for (volatile int forever = 1; forever;) {
  }
#endif
#if QUERY_VECTORS == 2
  __local float huge[1 << 28];
  huge[arguments.query_len] = arguments.query_scale;
  if (huge[arguments.query_len] != arguments.query_scale) return;
#endif
""").replace(scale, "arguments.query_scale * (KEY_TILE == 128 ? 2 : 1),")
    path.write_text(text)
    place.environment["CLATTN_KERNEL_PATH"] = str(changed)
    result = json.loads(place.run(*search(PROBLEM, "--strategy", "random", "--evaluations", 24,
                                          "--timeout", 5, "--json")).stdout)["problems"][0]
    trials = json.loads(place.store.read_text())["entries"][0]["trials"]
    assert len(trials) == 24
    seen = {}
    for trial in trials:
        tile, vectors = trial["config"]["key_tile"], trial["config"]["query_vectors"]
        outcome = trial["outcome"]
        seen[outcome] = seen.get(outcome, 0) + 1
        if tile == 16:
            assert outcome == "compile" and "not today" in trial["message"], trial
        elif vectors == 2:
            assert outcome in ("compile", "runtime"), trial
        elif tile == 32:
            assert outcome == "timeout", trial
        elif tile == 128:
            assert outcome == "correctness" and "expected" in trial["message"], trial
        else:
            assert outcome == "correct" and min(trial["seconds"]) > 0, trial
    print(seen)
    assert {"compile", "runtime", "timeout", "correctness", "correct"} <= seen.keys(), seen
    assert result["best"]["key_tile"] == 64 and result["best"]["query_vectors"] != 2, result["best"]


def kills(place, _):
    arguments = search(PROBLEM, "--evaluations", 25, "--seed", 3)
    chance = random.Random(7)
    asked = []  # questions of the journal, after each kill
    for kill in range(20):
        process = subprocess.Popen(place.command(*arguments, "--resume"), env=place.environment,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(chance.uniform(0.1, 2.5))
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors
        if not (place.folder / "state").exists():
            continue
        lines = place.journal().read_text().split("\n")
        whole = lines[:-1]  # behind the last newline is what was being written
        assert asked == whole[: len(asked)], "an answer was lost"
        asked = whole
    result = json.loads(place.run(*arguments, "--resume", "--json").stdout)["problems"][0]
    (entry,) = place.entries()
    configs = [json.dumps(trial["config"], sort_keys=True) for trial in entry["trials"]]
    assert len(configs) == len(set(configs)) == 25, "something was evaluated twice"
    print(f"{kill + 1} kills, {len(asked)} lines kept at the last one")
    assert len(asked) > 3, "the kills came before anything was measured"
    assert entry["config"] == result["best"]
    assert not any((place.folder / "state" / "clattn" / "tune").iterdir()), "a journal is left"


def processes(place, _):
    running = [subprocess.Popen(place.command(*search(problem_of(keys), "--evaluations", 3)),
                                env=place.environment, stdout=subprocess.DEVNULL)
               for keys in (64, 200)]
    assert [process.wait() for process in running] == [0, 0]
    assert len(place.entries()) == 2
    # The very same search twice at a time is refused to one, and costs the other nothing.
    running = [subprocess.Popen(place.command(*search(problem_of(500), "--evaluations", 6)),
                                env=place.environment, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate()[1] for process in running]
    statuses = [process.returncode for process in running]
    assert sorted(statuses) in ([0, 0], [0, 2]), (statuses, errors)
    if 2 in statuses:
        assert "another process makes this very search" in errors[statuses.index(2)], errors
    assert len(place.entries()) == 3


def stores(place, _):
    place.run(*search(PROBLEM, "--evaluations", 2))
    good = place.store.read_text()
    # A problem that no machine holds ends a run of several no more than a configuration does.
    suite = place.folder / "suite.json"
    suite.write_text(json.dumps([{**PROBLEM, "kv_len": 1 << 29, "heads": 4096, "kv_heads": 4096},
                                 problem_of(90)]))
    done = place.run("--device", "cpu", "--family", "cpu", "--suite", suite, "--evaluations", 2,
                     status=1)
    assert "out of memory" in done.stderr, done.stderr
    assert len(place.entries()) == 2
    place.store.write_text(good)
    newer = json.loads(good)
    newer["version"] += 1
    for bad, why in ((good[: len(good) // 2], "JSON"), (json.dumps(newer), "version")):
        place.store.write_text(bad)
        done = place.run(*search(problem_of(100), "--evaluations", 2), status=1)
        assert "is not kept" in done.stderr and why in done.stderr, done.stderr
        assert "gain" in done.stdout, "the search did not come to its end"
        assert place.store.read_text() == bad, "a store that can't be read was written"
        # Once it is mended, the journal has the result.
        place.store.write_text(good)
        place.run(*search(problem_of(100), "--evaluations", 2, "--resume"))
        assert len(place.entries()) == 2
        place.store.write_text(good)
    if os.geteuid() != 0:  # whom nothing is read-only for
        place.store.parent.chmod(0o500)
        done = place.run(*search(problem_of(100), "--evaluations", 2), status=1)
        place.store.parent.chmod(0o700)
        assert "is not kept" in done.stderr, done.stderr
    else:
        done = place.run(*search(problem_of(100), "--evaluations", 2, "--store", "/proc/tuning.json"),
                         status=1)
        assert "is not kept" in done.stderr, done.stderr
    assert place.store.read_text() == good


def exchange(place, _):
    place.run(*search(PROBLEM, "--evaluations", 4))
    place.run(*search(problem_of(300), "--evaluations", 3, "--strategy", "random"))
    first, second, other = (place.folder / name for name in ("1.json", "2.json", "other.json"))
    place.run("export", first)
    place.run("import", first, "--store", other)
    place.run("export", second, "--store", other)
    assert first.read_text() == second.read_text()
    assert json.loads(place.store.read_text()) == json.loads(other.read_text())
    outcomes = ("timeout", "compile", "runtime", "correctness", "constraints", "correct")
    t4 = json.loads(first.read_text())
    assert t4["schema_version"] == "1.0.0" and t4["results"]
    for result in t4["results"]:
        assert isinstance(result["configuration"], dict) and result["configuration"]
        assert isinstance(result["times"]["runtimes"], list)
        assert result["invalidity"] in outcomes and isinstance(result["correctness"], (int, float))
    assert "2 entries" in place.run("show").stdout
    place.run("merge", place.folder / "merged.json", place.store, other)
    verified = place.run("verify", "--device", "cpu", "--json", "--store",
                         place.folder / "merged.json")
    entries = json.loads(verified.stdout)["entries"]
    assert [entry["freshness"] for entry in entries] == ["fresh", "fresh"], entries
    place.run("prune", "--trials")
    assert all(not entry["trials"] for entry in place.entries())


def main():
    clattn, kernels, test = sys.argv[1:]
    info = subprocess.run([clattn, "info", "--json"], capture_output=True, text=True)
    if info.returncode != 0 or '"cpu"' not in info.stdout:
        print("skipped: no CPU device")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        globals()[test](Place(folder, clattn), kernels)
    return 0


if __name__ == "__main__":
    sys.exit(main())
