"""One case after the other: inputs, both sides checked against the reference, then timed in turns.

A row of the result is a dictionary that goes into the JSON as it is. Its verdict is "holds" or "MISSED"
where there is a ratio and a target, "bound" where there is only the bound, "no peer" where clattn was
timed alone, "checked" in a dry run, "skipped" where the device does not take the problem, and "FAILED"
where clattn failed or was wrong, which is then not timed, or timing broke off. The note says why.
"""

from cases import reduced, without_mask
from clattn_api import ClattnError
from clattn_side import ClattnSide
from gpu_state import gpu_state
from inputs import Inputs
from measure import FULL, LEAST, interleaved, summary
from opencl import OpenClError
from reference import Expected, sampled_rows
from torch_side import TorchSide, import_torch, versions


class WrongResult(Exception):
    pass


class NoPeer(Exception):
    pass


class Benchmark:
    def __init__(self, engine, seed, dry_run):
        self.engine, self.seed, self.dry_run = engine, seed, dry_run
        self.torch, self.torch_device, self.why_no_peer = peers_of(engine, dry_run)
        self.rates = engine.rates()

    def context(self):
        return {"device": self.engine.device_name, "driver": self.engine.driver_version,
                "clattn": self.engine.api.version, "seed": self.seed, "dry_run": self.dry_run,
                "peers": versions(self.torch) if self.torch else self.why_no_peer}

    def row(self, case):
        problem = reduced(case.problem) if self.dry_run else case.problem
        row = {"case": case.name, "problem": problem, "target": case.target, "note": ""}
        try:
            self._compare(case, problem, row)
        except ClattnError as error:
            row.update(verdict="skipped" if error.unsupported else "FAILED", note=str(error))
        except (OpenClError, WrongResult, RuntimeError) as error:  # RuntimeError: of PyTorch
            row.update(verdict="FAILED", note=str(error))
        return row

    def _compare(self, case, problem, row):
        inputs = Inputs(problem, self.seed, self.torch, self.torch_device)
        rows = sampled_rows(problem["q_len"], self.seed)
        with ClattnSide(self.engine, problem, case.family, inputs) as clattn:
            expected = Expected(self.engine.api, problem, inputs, rows)
            error = held_to(expected, clattn, rows)
            peer_problem, peer_error, peer = problem, None, None
            if case.peer_is_dense and self.torch:
                peer_problem = without_mask(problem)
                expected = Expected(self.engine.api, peer_problem, inputs, rows)
            if case.peer:
                try:
                    peer = self._peer(case.peer, peer_problem, inputs)
                    peer_error = held_to(expected, peer, rows)
                except Exception as refusal:  # whatever PyTorch and its compilers raise
                    row["note"], peer = " ".join(str(refusal).split()), None
            timed_peer = peer if peer and peer.on_gpu else None
            sides = [clattn, timed_peer] if timed_peer else [clattn]
            bursts, sustained = interleaved(sides, LEAST if self.dry_run else FULL)
            row["gpu_after"] = gpu_state()
            row["clattn"] = side_row(clattn, error, clattn.flops, bursts, sustained)
            if timed_peer:
                flops = dense_flops(problem) if case.peer_is_dense else clattn.flops
                row["peer"] = side_row(peer, peer_error, flops, bursts, sustained)
                row["ratio"], row["ratio_deviation"] = ratio(bursts, peer, clattn)
                row["sustained_ratio"], _ = ratio(sustained, peer, clattn)
            elif not case.peer:
                row["bound_seconds"] = max(clattn.flops / self.rates.flops_per_second,
                                           clattn.bytes / self.rates.bytes_per_second)
                row["part_of_bound"] = row["bound_seconds"] / row["clattn"]["bursts"]["seconds"]
        row["verdict"] = self._verdict(row, peer)

    def _verdict(self, row, peer):
        if row["note"]:
            return "no peer"
        if self.dry_run:
            return "checked"
        if peer is None:
            return "bound"
        return "holds" if row["ratio"] >= row["target"] else "MISSED"

    def _peer(self, name, problem, inputs):
        if self.torch is None:
            raise NoPeer(self.why_no_peer)
        return TorchSide(self.torch, name, problem, inputs)


def peers_of(engine, dry_run):
    """PyTorch and the device of its tensors; None, None and the reason where it cannot compete."""
    torch, reason = import_torch()
    if torch is None:
        return None, None, reason
    name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "the CPU"
    if name == engine.device_name:
        return torch, "cuda", ""
    if dry_run:
        return torch, "cpu", ""
    return None, None, f"PyTorch runs on {name}, clattn on {engine.device_name}"


def held_to(expected, side, rows):
    """The side's error. Raises WrongResult."""
    comparison = expected.compare(side.rows(rows))
    if not comparison.pass_:
        raise WrongResult(f"{side.label} is wrong: largest error {comparison.max_error:.3g}, limit "
                          f"{comparison.limit:.3g}, {comparison.non_finite} not finite")
    return {"largest_error": comparison.max_error, "limit": comparison.limit,
            "relative_error": comparison.relative_error}


def dense_flops(problem):
    return (2.0 * problem["batch"] * problem["heads"] * problem["q_len"] * problem["kv_len"]
            * (problem["head_dim"] + problem["value_dim"]))


def ratio(rounds, peer, clattn):
    """The peer's time to clattn's: the median of the rounds' ratios, and its deviation."""
    return summary([theirs / ours for theirs, ours in zip(rounds[peer.name], rounds[clattn.name])])


def side_row(side, error, flops, bursts, sustained):
    row = {"label": side.label, "flops": flops, "check": error}
    for measurement, rounds in (("bursts", bursts[side.name]), ("sustained", sustained[side.name])):
        seconds, deviation = summary(rounds)
        row[measurement] = {"seconds": seconds, "deviation": deviation,
                            "flops_per_second": flops / seconds, "rounds": rounds}
    return row
