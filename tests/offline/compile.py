#!/usr/bin/env python3
"""Compiles what clattn_offline_programs wrote with the compilers of GPUs that need not be here.

NVIDIA: clang to PTX, with libclc for the built-in functions, the program's own patch, then ptxas.
AMD: clang with AMD's device libraries. Intel: ocloc. Each must compile without a warning of ptxas
(which warns of wgmma instructions that it serializes), must take the local memory that the planner
counts, and may take no more registers, spills and stack than resources.csv says. The table holds
for the versions of the tools that it names; with others, programs are compiled but not compared.

The exit status is 0, 1 where a program fails, 2 for bad use, 77 where the tools are missing.
"""

import argparse
import concurrent.futures
import csv
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

TABLE = pathlib.Path(__file__).with_name("resources.csv")
KERNEL = "attention"  # whose resources are held; the program's others have to compile
# What must not grow. Registers are those of 32 bits that a work-item gets: NVIDIA and AMD hand them
# out by eights, Intel by the lanes of a hardware thread. Spills are counted as each compiler does:
# bytes stored and loaded, vector registers, bytes. The stack is bytes.
HELD = ("registers", "spills", "stack")


class Failure(Exception):
    """A program does not compile as it should."""


def run(command, **options):
    done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, **options)
    if done.returncode != 0:
        lines = done.stdout.strip().splitlines()
        raise Failure("\n".join([f"{command[0]} failed:", *lines[:8]]))
    return done.stdout


def find_program(*names):
    for name in names:
        if path := shutil.which(name):
            return path
    return None


def find_file(*paths):
    return next((path for path in paths if os.path.exists(path)), None)


def number(pattern, text):
    """The first group of the pattern; 0 where it does not occur."""
    found = re.search(pattern, text)
    return int(found.group(1)) if found else 0


def by_eights(registers):
    return (registers + 7) // 8 * 8


def clang_command(tools, program, source):
    # Clang leaves it to the vendor to define the version, which tells arguments.h who reads it.
    return [tools["clang"], "-x", "cl", *program["options"].split(), "-D__OPENCL_VERSION__=120",
            "-O3", "-S", source]


def clang_version(tools):
    return "clang " + re.search(r"version (\d+\.\d+)", run([tools["clang"], "--version"])).group(1)


class Nvidia:
    @staticmethod
    def tools(arguments):
        return {"clang": find_program("clang-16"),
                "libclc": find_file("/usr/lib/clc/nvptx64--nvidiacl.bc"),
                "ptxas": arguments.ptxas or find_program("ptxas", "/usr/local/cuda/bin/ptxas")}

    @staticmethod
    def versions(tools):
        release = re.search(r"release (\d+\.\d+)", run([tools["ptxas"], "--version"])).group(1)
        return f"{clang_version(tools)}, ptxas {release}"

    @staticmethod
    def compile(tools, program, source, folder):
        ptx_file = folder / "program.ptx"
        run([*clang_command(tools, program, source), "-target", "nvptx64-nvidia-nvcl",
             "-DFP_FAST_FMAF", "-Dasm=__asm__",
             "-Xclang", "-target-cpu", "-Xclang", program["architecture"],
             "-Xclang", "-target-feature", "-Xclang", "+ptx78",
             "-Xclang", "-mlink-builtin-bitcode", "-Xclang", tools["libclc"], "-o", ptx_file])
        ptx = ptx_file.read_text()
        # The driver writes a later version of the language than clang 16 knows.
        ptx = ptx.replace(".version 7.8", ".version 9.0", 1)
        # Clang drops reqd_work_group_size, by which ptxas knows how many registers there are.
        ptx, entries = re.subn(rf"(\.entry {KERNEL}\([^)]*\))",
                               rf"\1\n.reqntid {program['work_group_size']}, 1, 1", ptx)
        if entries != 1:
            raise Failure(f"the PTX has {entries} entries '{KERNEL}'")
        if patch := program.get("patch"):
            for old, _ in [(patch["marker"], ""), *patch["replacements"]]:
                if old not in ptx:
                    raise Failure(f"the patch finds no '{old}' in the PTX")
            ptx = ptx.replace(patch["marker"], "")
            for old, new in patch["replacements"]:
                ptx = ptx.replace(old, new)
        ptx_file.write_text(ptx)
        # For sm_90 ptxas would hold static local arrays to 48 KiB, which the driver does not. The
        # instructions stay those of the target that the PTX names.
        architecture = program["architecture"].replace("sm_90", "sm_90a")
        log = run([tools["ptxas"], f"-arch={architecture}", "-v", "-o", os.devnull, ptx_file])
        if complaints := [line for line in log.splitlines()
                          if re.search(r"warning|serialized|C75\d\d", line)]:
            raise Failure("\n".join(["ptxas warns:", *complaints[:5]]))
        entry = next(text for text in log.split("Compiling entry function ")
                     if text.startswith(f"'{KERNEL}'"))
        return {"registers": by_eights(number(r"Used (\d+) registers", entry)),
                "spills": number(r"(\d+) bytes spill stores", entry) +
                          number(r"(\d+) bytes spill loads", entry),
                "stack": number(r"(\d+) bytes stack frame", entry),
                "local": number(r"(\d+) bytes smem", entry)}


class Amd:
    @staticmethod
    def tools(_arguments):
        folder = "/usr/lib/x86_64-linux-gnu/amdgcn/bitcode"
        return {"clang": find_program("clang-16"),
                "device libraries": find_file(f"{folder}/opencl.bc") and folder}

    @staticmethod
    def versions(tools):
        return clang_version(tools)

    @staticmethod
    def compile(tools, program, source, folder):
        assembly = folder / "program.s"
        run([*clang_command(tools, program, source), "-target", "amdgcn-amd-amdhsa",
             f"-mcpu={program['architecture']}",
             f"--rocm-device-lib-path={tools['device libraries']}", "-o", assembly])
        kernels = re.split(r"^  - \.a\w+:", assembly.read_text(), flags=re.MULTILINE)
        entry = next(text for text in kernels
                     if re.search(rf"\.name: +{KERNEL}$", text, re.MULTILINE))
        # Scalar registers spill into lanes of vector registers, and are not counted.
        return {"registers": by_eights(number(r"\.vgpr_count: +(\d+)", entry)),
                "spills": number(r"\.vgpr_spill_count: +(\d+)", entry),
                "stack": number(r"\.private_segment_fixed_size: +(\d+)", entry),
                "local": number(r"\.group_segment_fixed_size: +(\d+)", entry)}


class Intel:
    @staticmethod
    def tools(_arguments):
        return {"ocloc": find_program("ocloc")}

    @staticmethod
    def versions(tools):
        with tempfile.TemporaryDirectory() as folder:
            run([tools["ocloc"], "query", "OCL_DRIVER_VERSION"], cwd=folder)
            version = pathlib.Path(folder, "OCL_DRIVER_VERSION").read_text()
        return "ocloc " + version.strip(" \0\n")

    @staticmethod
    def compile(tools, program, source, folder):
        run([tools["ocloc"], "compile", "-file", source, "-device", program["architecture"],
             "--format", "zebin", "-options", program["options"], "-out_dir", folder,
             "-output_no_suffix", "-output", "program"])
        # The binary is an ELF file, one of whose sections is YAML.
        info = (folder / "program").read_bytes().decode("latin1")
        kernels = re.split(r"^  - name: +", info[info.index("\nkernels:"):], flags=re.MULTILINE)
        entry = next(text for text in kernels if text.startswith(f"{KERNEL}\n"))
        lanes = number(r"simd_size: +(\d+)", entry)
        buffers = dict(re.findall(r"usage: +(\w+)\s+size: +(\d+)", entry))
        return {"registers": number(r"grf_count: +(\d+)", entry) * 8 // lanes,
                "spills": int(buffers.get("spill_fill_space", 0)),
                "stack": int(buffers.get("private_space", 0)),
                "local": number(r"slm_size: +(\d+)", entry)}


DEVICES = {"h200": Nvidia, "a100": Nvidia, "mi210": Amd, "arc": Intel}


class Table:
    """The rows of resources.csv by program, and the versions of the tools by device."""

    def __init__(self):
        self.rows, self.versions = {}, {}
        if not TABLE.exists():
            return
        lines = TABLE.read_text().splitlines()
        for line in lines:
            if found := re.fullmatch(r"# (\w+): (.+)", line):
                self.versions[found.group(1)] = found.group(2)
        for row in csv.DictReader(line for line in lines if not line.startswith("#")):
            self.rows[row["program"]] = {field: int(row[field]) for field in HELD}

    def update(self, device, versions, results):
        self.rows = {name: row for name, row in self.rows.items() if device_of(name) != device}
        self.rows.update(results)
        self.versions[device] = versions

    def write(self):
        with open(TABLE, "w", newline="", encoding="utf-8") as file:
            file.write("# What the attention kernels take, by compile.py --update. Compiled with\n")
            for device, versions in sorted(self.versions.items()):
                file.write(f"# {device}: {versions}\n")
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["program", *HELD])
            for name, row in sorted(self.rows.items()):
                writer.writerow([name, *(row[field] for field in HELD)])


def device_of(name):
    return name.split("-")[0]


def compile_all(compiler, tools, programs, folder, jobs):
    """The resources of each program, or the Failure."""
    def compile_one(program):
        with tempfile.TemporaryDirectory() as scratch:
            try:
                source = folder.resolve() / (program["name"] + ".cl")
                found = compiler.compile(tools, program, source, pathlib.Path(scratch))
            except Failure as failure:
                return failure
        local, counted = found.pop("local"), program["local_memory_bytes"]
        if local != counted:
            return Failure(f"takes {local} bytes of local memory, but the planner counts {counted}")
        return found

    with concurrent.futures.ThreadPoolExecutor(jobs) as executor:
        return dict(zip((program["name"] for program in programs),
                        executor.map(compile_one, programs)))


def differences(row, found):
    """Of one program: what grew, and whether anything shrank."""
    if row is None:
        return ["is not in the table"], False
    grown = [f"{field} {found[field]} instead of {row[field]}" for field in HELD
             if found[field] > row[field]]
    return grown, any(found[field] < row[field] for field in HELD)


def check_device(device, arguments, programs, table):
    """How many programs fail; None where the tools are missing."""
    compiler = DEVICES[device]
    tools = compiler.tools(arguments)
    if missing := [name for name, path in tools.items() if not path]:
        print(f"skipped: {device} needs {', '.join(missing)}, not installed")
        return None
    versions = compiler.versions(tools)
    results = compile_all(compiler, tools, programs, arguments.folder, arguments.jobs)
    failures = {name: str(found) for name, found in results.items() if isinstance(found, Failure)}
    compiled = {name: found for name, found in results.items() if name not in failures}
    smaller = 0
    if arguments.update:
        table.update(device, versions, compiled)
    elif table.versions.get(device, versions) != versions:
        print(f"{device}: the table is of {table.versions[device]}, this is {versions}: "
              "resources are not compared")
    else:
        for name, found in compiled.items():
            grown, shrunk = differences(table.rows.get(name), found)
            if grown:
                failures[name] = ", ".join(grown)
            smaller += shrunk
        for name in table.rows:
            if device_of(name) == device and name not in results:
                failures[name] = "is in the table, but no longer among the programs"
    for text in dict.fromkeys(failures.values()):
        names = [name for name, reason in failures.items() if reason == text]
        others = f" and {len(names) - 1} others" if len(names) > 1 else ""
        print(f"FAILED {names[0]}{others}: {text}")
    if smaller:
        print(f"{device}: {smaller} take less than the table says, which --update would hold")
    spilling = sum(found["spills"] > 0 for found in compiled.values())
    print(f"{device}: {len(results)} programs, {len(failures)} failed, {spilling} spill, "
          f"by {versions}")
    return len(failures)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="what clattn_offline_programs wrote")
    parser.add_argument("--device", choices=DEVICES, help="one of them (default: all)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="programs at a time")
    parser.add_argument("--ptxas", help="the program, where it is not on the path")
    parser.add_argument("--update", action="store_true", help="write resources.csv anew")
    arguments = parser.parse_args()
    try:
        programs = json.loads((arguments.folder / "programs.json").read_text())
    except OSError as error:
        parser.error(f"clattn_offline_programs has not written here: {error}")
    if unknown := {program["device"] for program in programs} - set(DEVICES):
        parser.error(f"no compiler is known for {', '.join(sorted(unknown))}")
    table = Table()
    counts = [check_device(device, arguments,
                           [program for program in programs if program["device"] == device], table)
              for device in ([arguments.device] if arguments.device else DEVICES)]
    if arguments.update:
        table.write()
    if all(count is None for count in counts):
        return 77
    return 1 if any(counts) else 0


if __name__ == "__main__":
    sys.exit(main())
