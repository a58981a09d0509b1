"""The folder of a run: raw measurements, the table of ratios, versions and commands."""

import json
import pathlib
import statistics


class Record:
    """Writes `folder`. Places of this machine are replaced by names: `hidden` is {path: name}."""

    def __init__(self, folder, hidden):
        self.folder, self.hidden = pathlib.Path(folder), hidden
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cases = []

    def write(self, name, text):
        for path, word in sorted(self.hidden.items(), key=lambda item: -len(item[0])):
            text = text.replace(path, word)
        (self.folder / name).write_text(text)

    def add(self, case):
        """Writes a case's measurements, one JSON object a line."""
        self.cases.append(case)
        lines = [json.dumps(m) for m in case.measurements]
        self.write(f"{case.name}.jsonl", "".join(f"{line}\n" for line in lines))

    def summary(self, facts, before, after):
        text = [f"# {facts['date'][:10]}, {facts['cpu']}, {facts['cores']} cores\n"]
        text.append(f"Load before {before}, after {after} (the run's own is in the latter). Sources {facts['sources']}.\n")
        text.append("A ratio is taken within a round, then the median over rounds (min–max). Above 1 Megagram is better.")
        text.append("`others`: the largest share of all cores that other programs had during a measurement of the case.\n")
        text.append("| case | comparison | ratio | wanted | rounds | others |\n|---|---|---|---|---|---|")
        for case in self.cases:
            text += [ratio_row(case, comparison) for comparison in case.comparisons]
        text.append("\n| case | side | seconds | GF/s | ms an entry | on |\n|---|---|---|---|---|---|")
        for case in self.cases:
            text += [side_row(case, side) for side in case.sides]
        for case in self.cases:
            text += [f"\n{case.name}: {note}" for note in case.notes]
        self.write("summary.md", "\n".join(text) + "\n")


def spread(values, digits=2):
    """The median, and min–max."""
    if not values:
        return "—"
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def ratio_row(case, comparison):
    pairs = case.rounds_of(comparison["over"], comparison["under"], comparison["field"])
    ratios = [over / under for over, under in pairs]
    others = max((m["others"] for m in case.measurements), default=0)
    wanted = comparison.get("wanted") or "—"
    return f"| {case.name} | {comparison['label']} | {spread(ratios)} | {wanted} | {len(ratios)} | {others:.0%} |"


def side_row(case, side):
    measured = [m for m in case.measurements if m["side"] == side and m["round"] > 0]
    fields = ("seconds", "gflops", "ms_per_entry")
    values = {field: [m[field] for m in measured if m.get(field) is not None] for field in fields}
    about = case.about.get(side) or {}
    pools = [f"{p.get('internal_api')} {p.get('version')} {p.get('architecture') or ''}" for p in about.get("pools", [])]
    plain = [f"{key} {value}" for key, value in about.items() if key != "pools" and value is not None]
    shown = f"{spread(values['seconds'], 3)} | {spread(values['gflops'], 1)} | {spread(values['ms_per_entry'], 6)}"
    return f"| {case.name} | {side} | {shown} | {'; '.join(plain + pools)} |"
