#!/usr/bin/env python3
"""Turns a program of OpenCL C with inline PTX into C++ that calls the emulator.

usage: translate.py SOURCE TARGET COMPILER [-DNAME=VALUE ...]

The C++ compiler's preprocessor runs first, for PTX is put together by macros. Then each asm
statement becomes calls of Instructions (instructions.hpp); one that is not known is an error that
prints it. Functions that hold such statements, the helpers of ptx.cl and hopper.cl, get the line of
their caller as two more parameters. For each kernel there is a function launch_NAME that takes its
arguments as an array of pointers, to values or, for buffers, to what they hold.
"""

import re
import subprocess
import sys

FILE_AND_LINE = "const char *emulated_file = __builtin_FILE(), int emulated_line = __builtin_LINE()"
IN_HELPER = "{emulated_file, emulated_line}"
IN_KERNEL = "{__FILE__, __LINE__}"
VECTORS = r"(?:ushort8|uint4|uint8|float2|float8)"


class Unknown(Exception):
    """Something that the emulator does not know."""


def closing(text, begin):
    """The index behind what closes the bracket at `begin`."""
    depth, i = 0, begin
    while True:
        if text[i] == '"':
            i = re.compile(r'"(?:[^"\\]|\\.)*"').match(text, i).end()
            continue
        depth += (text[i] in "([{") - (text[i] in ")]}")
        i += 1
        if depth == 0:
            return i


def split(text, separator):
    """The parts between separators that stand in no bracket and no string."""
    parts, begin, i = [], 0, 0
    while i < len(text):
        if text[i] == '"':
            i = re.compile(r'"(?:[^"\\]|\\.)*"').match(text, i).end()
        elif text[i] in "([{":
            i = closing(text, i)
        else:
            if text[i] == separator:
                parts.append(text[begin:i])
                begin = i + 1
            i += 1
    return [*parts, text[begin:]]


class Statement:
    """An asm statement: its instructions and its operands."""

    def __init__(self, body, where):
        self.where = where
        parts = split(body, ":")
        template = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', parts[0]))
        template = template.replace("\\n", "\n").replace("\\t", " ")
        self.template = re.sub(r"//WG ", "", template)  # what the patched program runs
        self.operands = []
        for part in parts[1:3]:
            for operand in split(part, ",") if part.strip() else []:
                found = re.fullmatch(r'\s*"([^"]*)"\s*(\(.*\))\s*', operand, re.DOTALL)
                if not found:
                    raise Unknown(f"operand {operand.strip()}")
                self.operands.append(found.group(2))

    def one_line(self):
        return re.sub(r"\s+", " ", self.template).strip().rstrip(";").strip()

    def instructions(self):
        lines = re.split(r"[;\n]", self.template.replace("{ .reg", "\n.reg"))
        return [line.strip() for line in lines if line.strip() not in ("", "{", "}")]

    def array(self, names):
        """Operands %a, %b, ... must be consecutive elements of one array: where it begins."""
        first = None
        for i, name in enumerate(names):
            operand = self.operands[int(name.strip()[1:])]
            found = re.fullmatch(r"\((.*)\[(\d+)\]\)", operand)
            if not found:
                raise Unknown(f"operand {operand} is no element of an array")
            element = (found.group(1), int(found.group(2)) - i)
            if first not in (None, element):
                raise Unknown(f"operand {operand} is not element {i} behind the first one")
            first = element
        return f"&({first[0]})[{first[1]}]"

    def call(self, name, *arguments):
        """Numbers and names %i stand for operands, other strings for themselves."""
        texts = [re.sub(r"%(\d+)", lambda found: self.operands[int(found.group(1))], str(argument))
                 for argument in arguments]
        return f"emulated->{name}({', '.join([self.where, *texts])});"


def is_bf16(text):
    return "true" if text == "bf16" else "false"


def words(count, *names):
    return f"const uint emulated_words[{count}] = {{{', '.join(names)}}}; "


def braces(text):
    return "{ " + text + " }"


def store(statement, found):
    names = re.findall(r"%\d+", found.group(1))
    values = [statement.operands[int(name[1:])] for name in names]
    return words(len(names), *values) + statement.call("store", "%0", "emulated_words", len(names))


def load(statement, _found):
    return ("uint emulated_words[4]; " + statement.call("load", "%4", "emulated_words", 4) +
            "".join(f" {statement.operands[i]} = emulated_words[{i}];" for i in range(4)))


def load_matrices(statement, found):
    names = re.findall(r"%\d+", found.group(3))
    if len(names) != int(found.group(1)):
        raise Unknown("as many registers as matrices")
    return statement.call("load_matrices", statement.array(names), len(names),
                          "true" if found.group(2) else "false", f"%{len(names)}")


def multiply_add(statement, found):
    left = re.findall(r"%\d+", found.group(4))
    right = [statement.operands[int(name[1:])] for name in re.findall(r"%\d+", found.group(5))]
    depth = int(found.group(1))
    if found.group(2) != found.group(3) or (len(left), len(right)) != (depth // 4, depth // 8):
        raise Unknown("form of mma")
    return words(len(right), *right) + statement.call(
        "multiply_add", statement.array(["%0", "%1", "%2", "%3"]), statement.array(left),
        "emulated_words", depth, is_bf16(found.group(2)))


# What statements of one instruction, or nearly so, become. A statement must match wholly.
SIMPLE = [
    (r"", lambda s, m: ""),
    (r"ex2\.approx\.ftz\.f32 %0, %1", lambda s, m: f"{s.operands[0]} = emulated->exp2("
                                                   f"{s.operands[1]});"),
    (r"cvt\.rn\.(b?f16)x2\.f32 %0, %1, %2",
     lambda s, m: f"{s.operands[0]} = emulated->pack({s.operands[2]}, {s.operands[1]}, "
                  f"{is_bf16(m.group(1))});"),
    (r"shfl\.sync\.bfly\.b32 %0, %1, %2, 0x1f, 0xffffffff",
     lambda s, m: f"{s.operands[0]} = " + s.call("shuffle", "%1", "%2")),
    (r"\{ \.reg \.pred mine, any; setp\.ne\.s32 mine, %1, 0; vote\.sync\.any\.pred any, mine, "
     r"0xffffffff; selp\.s32 %0, 1, 0, any; \}",
     lambda s, m: f"{s.operands[0]} = " + s.call("any", "%1")),
    (r"redux\.sync\.or\.b32 %0, %1, 0xffffffff",
     lambda s, m: f"{s.operands[0]} = " + s.call("uniform", "%1")),
    (r"atom\.global\.inc\.u32 %0, \[%1\], %2",
     lambda s, m: f"{s.operands[0]} = " + s.call("count", "%1", "%2")),
    (r"bar\.warp\.sync 0xffffffff", lambda s, m: s.call("warp_barrier")),
    (r"cp\.async\.c[ga]\.shared\.global \[%0\], \[%1\], (\d+)",
     lambda s, m: s.call("copy", "%0", "%1", m.group(1), m.group(1))),
    (r"cp\.async\.cg\.shared\.global \[%0\], \[%1\], 16, %2",
     lambda s, m: s.call("copy", "%0", "%1", 16, "%2")),
    (r"cp\.async\.wait_all", lambda s, m: s.call("wait_all_copies")),
    (r"cp\.async\.wait_group (\d+)", lambda s, m: s.call("wait_copies", m.group(1))),
    (r"cp\.async\.commit_group", lambda s, m: s.call("commit_copies")),
    (r"cp\.async\.mbarrier\.arrive\.noinc\.shared\.b64 \[%0\]",
     lambda s, m: s.call("copies_arrive", "%0")),
    (r"st\.shared\.v4\.b32 \[%0\], \{(%1, %2, %3, %4)\}", store),
    (r"st\.shared\.b32 \[%0\], (%1)", store),
    (r"ld\.shared\.v4\.b32 \{%0, %1, %2, %3\}, \[%4\]", load),
    (r"ldmatrix\.sync\.aligned\.m8n8\.x([24])(\.trans)?\.shared\.b16 \{([%\d, ]+)\}, \[%[24]\]",
     load_matrices),
    (r"mma\.sync\.aligned\.m16n8k(8|16)\.row\.col\.f32\.(b?f16)\.(b?f16)\.f32 "
     r"\{%0, %1, %2, %3\}, \{([%\d, ]+)\}, \{([%\d, ]+)\}, \{%0, %1, %2, %3\}", multiply_add),
    (r"mbarrier\.init\.shared\.b64 \[%0\], %1", lambda s, m: s.call("start_barrier", "%0", "%1")),
    (r"\{ \.reg \.pred done; WAIT: mbarrier\.try_wait\.parity\.shared\.b64 done, \[%0\], %1; "
     r"@done bra DONE; bra WAIT; DONE: (bar\.warp\.sync 0xffffffff; )?\}",
     lambda s, m: s.call("wait_barrier", "%0", "%1") +
     (" " + s.call("warp_barrier") if m.group(1) else "")),
    (r"mbarrier\.arrive\.shared\.b64 _, \[%0\]", lambda s, m: s.call("arrive", "%0")),
    (r"mbarrier\.arrive\.expect_tx\.shared\.b64 _, \[%0\], %1",
     lambda s, m: s.call("expect", "%0", "%1") + " " + s.call("arrive", "%0")),
    (r"bar\.sync %0, %1", lambda s, m: s.call("sync_named", "%0", "%1")),
    (r"\{ \.reg \.pred mine, any; setp\.ne\.s32 mine, %3, 0; bar\.red\.or\.pred any, %1, %2, mine; "
     r"selp\.s32 %0, 1, 0, any; \}",
     lambda s, m: f"{s.operands[0]} = " + s.call("any_of_named", "%1", "%2", "%3")),
    (r"fence\.proxy\.async\.shared::cta", lambda s, m: s.call("fence_proxy")),
    (r"tensormap\.cp_fenceproxy\.global\.shared::cta\.tensormap::generic\.release\.gpu\.sync\."
     r"aligned \[%0\], \[%1\], 128", lambda s, m: s.call("release_map", "%0", "%1")),
    (r"fence\.proxy\.tensormap::generic\.acquire\.gpu \[%0\], 128",
     lambda s, m: s.call("acquire_map", "%0")),
    (r"cp\.async\.bulk\.tensor\.5d\.shared::cluster\.global\.tile\.mbarrier::complete_tx::bytes "
     r"\[%0\], \[%1, \{%2, %3, %4, %5, %6\}\], \[%7\]",
     lambda s, m: s.call("copy_box", "%0", "%1", braces("%2, %3, %4, %5, %6"), "%7")),
    (r"setmaxnreg\.(?:inc|dec)\.sync\.aligned\.u32 (\d+)",
     lambda s, m: s.call("set_registers", m.group(1))),
]


def map_fields(statement):
    code = ""
    for line in statement.instructions():
        found = re.fullmatch(r"tensormap\.replace\.tile\.(\w+)\.shared::cta\.b1024\.b(?:32|64) "
                             r"\[%0\], (?:(\d), )?(%\d+|\d+)", line)
        if not found:
            raise Unknown(line)
        field, index, value = found.groups()
        code += statement.call("set_map_field", "%0", f'"{field}"', index or 0,
                               f"(std::uint64_t){value}") + " "
    return code


PRODUCT = (r"wgmma\.mma_async\.sync\.aligned\.m64n(\d+)k16\.f32\.(b?f16)\.(b?f16) "
           r"\{([^}]*)\}, (\w+|\{[^}]*\}), (\w+), ([01]), 1, 1, ([01, ]+)")


def products(statement):
    """wgmma's: `registers` are the statement's own, descriptors and their halves."""
    code, registers = "", {}
    for line in statement.instructions():
        if line.startswith(".reg "):
            continue
        if line == "wgmma.fence.sync.aligned":
            code += statement.call("fence_products")
        elif line == "wgmma.commit_group.sync.aligned":
            code += statement.call("commit_products")
        elif found := re.fullmatch(r"wgmma\.wait_group\.sync\.aligned (\d+)", line):
            code += statement.call("wait_products", found.group(1))
        elif found := re.fullmatch(r"mov\.b32 (\w+), (\d+)", line):
            registers[found.group(1)] = f"{found.group(2)}u"
        elif found := re.fullmatch(r"add\.u32 (\w+), %(\d+), (\d+)", line):
            operand = statement.operands[int(found.group(2))]
            registers[found.group(1)] = f"((uint){operand} + {found.group(3)}u)"
        elif found := re.fullmatch(r"mov\.b64 (\w+), \{(\w+), (\w+)\}", line):
            low, high = registers[found.group(2)], registers[found.group(3)]
            registers[found.group(1)] = f"((ulong){low} | (ulong){high} << 32)"
        elif found := re.fullmatch(PRODUCT, line):
            columns, type_, right_type, sums, left, right, accumulates, transposed = found.groups()
            sums, transposed = sums.split(","), transposed.split(", ")
            in_registers = left.startswith("{")
            if (len(sums) != int(columns) // 2 or type_ != right_type or
                    len(transposed) != (1 if in_registers else 2) or
                    (not in_registers and transposed[0] != "0")):
                raise Unknown(line)
            left = ([statement.array(left[1:-1].split(",")), "0"] if in_registers
                    else ["nullptr", registers[left]])
            values = [statement.array(sums), columns, *left, registers[right],
                      accumulates + " != 0", transposed[-1] + " != 0", is_bf16(type_)]
            code += statement.call("multiply", braces(", ".join(values)))
        else:
            raise Unknown(line)
        code += " "
    return code


def translate_statement(body, where):
    statement = Statement(body, where)
    text = statement.one_line()
    try:
        if text.startswith("tensormap.replace"):
            return map_fields(statement)
        if "wgmma." in text:
            return products(statement)
        for pattern, code in SIMPLE:
            if found := re.fullmatch(pattern, text):
                return code(statement, found)
    except Unknown as unknown:
        raise Unknown(f"{unknown}\nin: {text}") from unknown
    raise Unknown(text)


HELPER = re.compile(r"^(static inline[^;{}()]*(?:__attribute__\(\(always_inline\)\))?[^;{}()]*"
                    r"\b\w+)\(([^{};]*)\)\s*\{", re.MULTILINE)


def translate_helper(head, body):
    """A function of the program, its position passed on if it holds asm statements."""
    if not re.search(r"\basm\b", body):
        return head + body
    found = HELPER.match(head)
    parameters = "" if found.group(2).strip() in ("", "void") else found.group(2) + ", "
    return (f"{found.group(1)}({parameters}{FILE_AND_LINE}) {{" +
            translate_statements(body, IN_HELPER))


def translate_statements(text, where):
    result, begin = [], 0
    for found in re.finditer(r"\basm\b\s*(?:volatile\b)?\s*\(", text):
        end = closing(text, found.end() - 1)
        body = re.sub(r"^# \d+.*$", "", text[found.end():end - 1], flags=re.MULTILINE)
        code = translate_statement(body, where)
        result += [text[begin:found.start()], braces(code), "\n" * body.count("\n")]
        begin = end + (text[end] == ";")
    return "".join([*result, text[begin:]])


def launchers(text):
    """Functions that unpack the arguments of each kernel."""
    code = ""
    for found in re.finditer(r"^extern \"C\" void (\w+)\(", text, re.MULTILINE):
        parameters = split(text[found.end():closing(text, found.end() - 1) - 1], ",")
        values = []
        for i, parameter in enumerate(parameters):
            type_ = re.fullmatch(r"\s*(.*?)(\w+)\s*", parameter, re.DOTALL).group(1)
            type_ = type_.strip()
            values.append(f"({type_})values[{i}]" if type_.endswith("*")
                          else f"*({type_} *)values[{i}]")
        code += (f'extern "C" __attribute__((visibility("default"))) void '
                 f"launch_{found.group(1)}(void *const *values) {{\n"
                 f"  {found.group(1)}({', '.join(values)});\n}}\n")
    return code


def translate(text):
    text = re.sub(r"^[ \t]*#pragma unroll.*$", "", text, flags=re.MULTILINE)
    while found := re.search(r"__attribute__\(\(reqd_work_group_size", text):
        end = closing(text, found.start() + len("__attribute__"))
        text = text[:found.start()] + text[end:]
    text = re.sub(r"^\s*__kernel\s+void\b", '\nextern "C" void', text, flags=re.MULTILINE)
    # An array of a kernel is the work-group's memory.
    text = re.sub(r"__local (\w+)\s+(?:__attribute__\(\(aligned\(\d+\)\)\)\s*)?(\w+)\[([^\]]*)\]"
                  r"\s*(?:__attribute__\(\(aligned\(\d+\)\)\))?;",
                  rf"\1 *\2 = (\1 *)emulated->local_memory({IN_KERNEL}, sizeof(\1) * (\3));", text)
    text = re.sub(rf"\(({VECTORS})\)\s*\(", r"make<\1>(", text)
    text = re.sub(r"(?<=[\w)])\.([xyzw])\b", lambda found: f"[{'xyzw'.index(found.group(1))}]",
                  text)
    text = text.replace("return (uint)(ulong)pointer;",
                        f"return emulated->local_address({IN_KERNEL}, (const void *)pointer);")

    result, begin = [], 0
    for found in HELPER.finditer(text):
        if found.start() < begin:
            continue
        end = closing(text, found.end() - 1)
        result += [translate_statements(text[begin:found.start()], IN_KERNEL),
                   translate_helper(found.group(0), text[found.end():end])]
        begin = end
    text = "".join([*result, translate_statements(text[begin:], IN_KERNEL)])
    return '#include "tests/emulation/opencl.hpp"\n' + text + launchers(text)


def main():
    source, target, compiler, *options = sys.argv[1:]
    done = subprocess.run([compiler, "-E", "-x", "c++", *options, source], text=True,
                          stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        return 1
    try:
        text = translate(done.stdout)
    except Unknown as unknown:
        print(f"translate.py: the emulator does not know: {unknown}", file=sys.stderr)
        return 1
    with open(target, "w", encoding="utf-8") as file:
        file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
