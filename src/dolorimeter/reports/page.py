"""From runs to a page: what a busy reader needs first, everything else below it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

import dolorimeter
from dolorimeter.audits import CHECKS, NOT_DETECTABLE, Finding
from dolorimeter.conditions import everything_takes_part
from dolorimeter.errors import EvaluationError
from dolorimeter.evaluation import Run
from dolorimeter.metrics import LOWER_IS_BETTER
from dolorimeter.reports import drawings, literature, tripod, words
from dolorimeter.reports.blocks import (
    Block,
    Figures,
    Items,
    Page,
    Paragraph,
    Row,
    Section,
    Table,
    Tone,
    Verdict,
    table,
)
from dolorimeter.reports.comparison import Comparison, compare_all, question_differences
from dolorimeter.reports.numbers import Estimate, Numbers, numbers
from dolorimeter.reports.pseudonyms import (
    hidden,
    hidden_finding,
    pseudonymised,
    pseudonyms,
    with_plain_names,
)
from dolorimeter.reports.robustness import fragile, missing_table, silence_table, worth_table
from dolorimeter.statistics import Paired

NOT_A_DEVICE = "Research software, not a medical device."

LOOKALIKE = (
    "LOOK-ALIKE DATA: these people do not exist. The numbers show that the software runs; they "
    "say nothing about pain and may not be compared with published figures."
)
"""On every page with a run on synthesised data."""

LOOKALIKE_SHORT = "LOOK-ALIKE DATA"
"""Across every figure of such a run."""

SEVERITIES: Mapping[str, tuple[str, Tone]] = {
    "fault": ("FAULT", "bad"),
    "warning": ("warning", "warn"),
    "declared": ("not verified", "quiet"),
    "passed": ("passed", "plain"),
}
"""How a finding is said and coloured; what is only declared is never called passed."""


THINNED_NOTE = (
    " Thinned: features were standardised within each person over windows whose classes the "
    "design balances. The row repeats that with one class of the test person left in one window "
    "of ten. A clearly lower figure there means that the model leans on a balance which no ward "
    "offers."
)
"""Below a table with a thinned row."""

ALL_PAIRS_UP_TO = 4
"""Runs up to which every pair is compared; from there the first one with each other."""

EVIDENCE = (
    "Observed: in the record of the rows that each fit and predict touched. Recomputed: found "
    "again in the data, in the estimator's parts or by a second run. Declared: only said, by the "
    "user or by nobody; never counted as passed."
)
"""What the kinds of evidence mean."""


@dataclass(frozen=True)
class Entry:
    """One run on a page, under pseudonyms: its letter, its numbers, its findings."""

    letter: str
    run: Run
    numbers: Numbers
    findings: tuple[Finding, ...]

    @property
    def label(self) -> str:
        """Letter and model, as tables name the run."""
        return f"{self.letter} {self.run.model}"


def build(
    runs: Sequence[Run],
    findings: Sequence[Sequence[Finding]],
    *,
    reveal_subjects: bool = False,
    command: str = "",
) -> tuple[Page, list[Entry]]:
    """The page of one or more runs; the first one's question leads.

    Parameters
    ----------
    runs : sequence of Run
    findings : sequence of sequences of Finding
        One for each run; empty where no audit was made, which the page says.
    reveal_subjects : bool
        Print subjects' own names.
    command : str
        What made the page, printed at its end.
    """
    people = {subject for run in runs for subject in run.people}
    named = pseudonyms(people, salt=runs[0].salt, reveal=reveal_subjects)
    names = with_plain_names(named)
    entries = [
        Entry(
            _letter(i),
            pseudonymised(run, names),
            hidden(numbers(run), names),
            tuple(hidden_finding(f, names) for f in found),
        )
        for i, (run, found) in enumerate(zip(runs, findings, strict=True))
    ]
    runs = [entry.run for entry in entries]
    lookalike = any(run.lookalike for run in runs)
    lead = runs[0].question
    sections = [section for section in _sections(entries, command) if section.blocks]
    page = Page(
        title=words.capital(f"{words.task_words(lead)} in {words.data_name(lead)}"),
        subtitle=_subtitle(entries),
        watermark=LOOKALIKE if lookalike else "",
        verdicts=tuple(verdict(entry, runs[0]) for entry in entries),
        note=_labels_note(runs),
        sections=tuple(sections),
        footer=(NOT_A_DEVICE, f"Made by dolorimeter {dolorimeter.__version__}."),
    )
    return page, entries


UNTRAINED = "randomly initialised"
"""In the notes of a run whose encoder has learnt nothing: it belongs beside the figure."""


def verdict(entry: Entry, lead: Run) -> Verdict:
    """The honest figure, whether it beats chance and the baselines, and what speaks against it."""
    run, n = entry.run, entry.numbers
    main, metric = n.main, words.metric_name(n.main.metric)
    chance = "" if n.chance is None else f"; chance {words.value(n.chance, main.metric)}"
    pooled = ", pooled over windows" if main.pooled else ""
    scored = n.subjects if main.pooled else n.subjects - n.undefined
    whose = f"{scored} of " if scored < n.subjects else ""
    figure = (
        f"{words.capital(metric)}{pooled} {words.value(main.mean, main.metric)} "
        f"(95 % interval over {whose}{words.people(n.subjects)}: "
        f"{words.interval(main.low, main.high, main.metric, main.unreliable)}{chance})"
    )
    tone, answer = _answer(n)
    sentences = [answer, *_against_baselines(n), *fragile(n)]
    if main.pooled:
        sentences.append(f"There is no mean of people: {main.pooled}.")
    if against := _against(entry):
        tone, sentences = "bad", [against, *_against_baselines(n)]
    elif main.unreliable:
        sentences.append(f"The interval is unreliable: {main.unreliable}.")
        tone = "warn" if tone == "good" else tone
    if not against and not entry.findings:
        sentences.append("No audit was made of this run: leakage has not been looked for.")
        tone = "warn" if tone == "good" else tone
    warned = sorted({CHECKS[f.check] for f in entry.findings if f.severity == "warning"})
    if warned:
        sentences.append(f"The audit warns: {'; '.join(warned)}.")
    for note in run.notes:
        if UNTRAINED in note:
            tone = "warn" if tone == "good" else tone
            sentences.append(f"Encoder: {note}.")
    if run.lookalike:
        tone = "warn" if tone == "good" else tone
        sentences.append("Look-alike data: no statement about people.")
    differ = dict.fromkeys(
        d.partition(" ")[0].partition(".")[0] for d in question_differences(lead, run)
    )
    headline = entry.label + (
        f" — another question ({', '.join(differ)} differ)" if differ else ""
    )
    return Verdict(headline, figure, tuple(sentences), tone)


def _against(entry: Entry) -> str:
    """Why the figure may not be used; empty when nothing speaks against it."""
    faults = {CHECKS[f.check] for f in entry.findings if f.severity == "fault"}
    if faults:
        return f"Do not use this figure: {'; '.join(sorted(faults))}."
    if entry.run.question.selection.startswith("oracle"):
        return "Do not use this figure: it was chosen on the labels that it reports."
    return ""


def _answer(n: Numbers) -> tuple[Tone, str]:
    """Whether the main figure beats the majority baseline, subject by subject, in words."""
    name = "majority" if "majority" in n.gains else "guessing"
    gain = n.gains.get(name)
    if gain is None:
        return "warn", (
            "Nothing can be said about chance: the run has no majority baseline, or too few "
            "people for a comparison with it."
        )
    if n.kind == "regressor" and n.main.metric in LOWER_IS_BETTER:
        mean = "the mean target of the training subjects"
    elif n.kind == "regressor":
        mean = "a constant guess, which agrees with 0"
    elif name == "majority":
        mean = "the majority baseline"
    else:
        mean = f"guessing ({words.value(n.chance, n.main.metric)})"
    shown = f"{_gain_words(gain, n.main.metric)}{_permuted(n)}"
    if beats(gain, n.main, n.chance):
        return "good", f"Better than chance ({mean}): {shown}."
    if gain.p < ALPHA and gain.difference < 0:
        return "bad", f"Worse than {mean}: {shown}. Look for a fault before anything else."
    if gain.p < ALPHA and gain.difference > 0:
        return "warn", (
            f"Not shown to be better than chance: better than {mean} ({shown}), but the interval "
            f"includes the {words.value(n.chance, n.main.metric)} of guessing."
        )
    return "warn", f"Not distinguishable from chance ({mean}): {shown}."


ALPHA = 0.05
"""Level of the statements about chance and baselines."""


def beats(gain: Paired, score: Estimate, chance: float | None) -> bool:
    """Whether a score is better than a baseline, and than guessing where that is fixed.

    Both are asked for: a majority class that is learnt on the other subjects is below guessing
    where every subject has one class, since leaving a subject out makes the other class frequent.
    """
    if not (gain.p < ALPHA and gain.difference > 0):
        return False
    if chance is None or not score.has_interval:
        return True
    return score.high < chance if score.metric in LOWER_IS_BETTER else score.low > chance


def _gain_words(gain: Paired, metric: str) -> str:
    """A paired difference in words."""
    how = "pooled over windows" if math.isnan(gain.permutation_p) else "person by person"
    mark = f"; unreliable: {gain.unreliable}" if gain.unreliable else ""
    bounds = words.interval(gain.low, gain.high, metric)
    return (
        f"{words.difference(gain.difference, metric)} {how} (95 % interval {bounds}; "
        f"p {words.p_value(gain.p)}{mark})"
    )


def _permuted(n: Numbers) -> str:
    """The permutation test, where one was made."""
    return "" if n.p_value is None else f", {_permutation(n)}"


def _permutation(n: Numbers) -> str:
    """The permutation test's p-value, and whether it is a coarse one."""
    coarse = "coarse " if n.coarse else ""
    return f"{coarse}permutation p {words.p_value(n.p_value)} of {n.permutations:,} shuffles"


def _against_baselines(n: Numbers) -> Iterator[str]:
    """One sentence for each baseline without signal that beats chance or the model."""
    sources = {
        "nuisance": "facts that are not signal (lengths, missing shares, order in the session)",
        "level_before": "the previous stimulus",
    }
    for name, source in sources.items():
        other = n.baselines.get(name)
        if other is None:
            continue
        shown = (
            f"{words.value(other.mean, other.metric)} "
            f"({words.interval(other.low, other.high, other.metric, other.unreliable)})"
        )
        over_majority = n.baseline_gains.get(name)
        if over_majority is not None and beats(over_majority, other, n.chance):
            yield (
                f"Warning: from {source} only: {shown}, which is better than chance "
                f"({_gain_words(over_majority, other.metric)})."
            )
        elif name == "nuisance":
            yield f"From {source} only: {shown}, not shown to be better than chance."
        gain = n.gains.get(name)
        if gain is None:
            continue
        if gain.difference <= 0:
            yield f"The model is no better than {source}: {shown}."
        elif not gain.p < ALPHA:
            yield (
                f"The model is not shown to be better than {source}: "
                f"{_gain_words(gain, n.main.metric)}."
            )


def _labels_note(runs: Sequence[Run]) -> str:
    sources = dict.fromkeys(run.label_source for run in runs if run.label_source)
    return " ".join(words.LABEL_SOURCES[source] for source in sources)


def _subtitle(entries: Sequence[Entry]) -> str:
    question = entries[0].run.question
    parts = [
        words.people(entries[0].numbers.subjects),
        f"{entries[0].numbers.windows:,} windows tested",
        words.windows_words(question),
        words.protocol_words(question),
        "one run" if len(entries) == 1 else f"{len(entries)} runs",
    ]
    return " · ".join(part for part in parts if part)


def _sections(entries: Sequence[Entry], command: str) -> Iterator[Section]:
    yield Section("runs", "The runs", tuple(_runs_blocks(entries)))
    yield Section("published", "Beside published figures", tuple(_published_blocks(entries)))
    yield Section("figures", "Figures", tuple(_figure_blocks(entries)))
    yield Section("audit", "Audit", tuple(_audit_blocks(entries)))
    yield Section("numbers", "All numbers", tuple(_number_tables(entries)))
    yield Section("data", "Data and what was kept out", tuple(_data_blocks(entries)))
    yield Section("checklist", "TRIPOD+AI", (tripod.checklist(_known(entries)),))
    yield Section("made", "How it was made", tuple(_made_blocks(entries, command)))


def by_question(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Runs grouped by question, the first run's question first."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.run.question.hash, []).append(entry)
    return list(groups.values())


def _runs_blocks(entries: Sequence[Entry]) -> Iterator[Block]:
    first, *others = by_question(entries)
    yield runs_table(first, "Runs that ask the same question")
    yield from _pair_blocks(first)
    for group in others:
        differ = ", ".join(question_differences(first[0].run, group[0].run))
        yield runs_table(group, f"Another question (differs in {differ}): not comparable")


def _pair_blocks(entries: Sequence[Entry]) -> Iterator[Block]:
    """Every two runs over the people that both have tested, with what could have been seen."""
    if len(entries) < 2:
        return
    lead_only = len(entries) > ALL_PAIRS_UP_TO
    try:
        found = compare_all([entry.run for entry in entries], against_first=lead_only)
    except EvaluationError as error:
        yield Paragraph(f"The runs cannot be compared person by person: {error}", "warn")
        return
    letters = [entry.letter for entry in entries]
    pairs = [(a, b) for i, a in enumerate(letters) for b in letters[i + 1 :]]
    if lead_only:
        pairs = [(letters[0], b) for b in letters[1:]]
    reasons = dict.fromkeys(c.paired.unreliable for c in found if c.paired.unreliable)
    yield table(
        "Two by two, person by person",
        (
            "Runs",
            "People",
            "Difference",
            "95 % interval",
            "p (Holm)",
            "Smallest difference that could be shown",
            "Read",
        ),
        [_pair_row(a, b, c) for (a, b), c in zip(pairs, found, strict=True)],
        numeric=(1, 2, 3, 4, 5),
        note=f"Differences of {words.metric_name(found[0].metric)}"
        f"{', in points,' if found[0].metric in words.SHARES else ','} mean over the people that "
        "both runs have tested. p tests this mean: the larger one of a sign-flip permutation test "
        "and of a t-test corrected for skewness, adjusted for all rows (Holm). Smallest "
        "difference: detectable with 80 % power at this number of people."
        + (f" Unreliable: {'; '.join(reasons)}." if reasons else ""),
    )


def _pair_row(first: str, second: str, c: Comparison) -> Row:
    found = c.paired
    if c.holm_p < ALPHA:
        better = first if (found.difference > 0) != (c.metric in LOWER_IS_BETTER) else second
        read = f"{better} is better"
    else:
        read = "no difference shown"
    return Row(
        (
            f"{first} − {second}",
            str(found.subjects),
            words.value(found.difference, c.metric),
            words.interval(found.low, found.high, c.metric, found.unreliable),
            f"{words.p_value(c.holm_p)}{' (unreliable)' if found.unreliable else ''}",
            words.value(found.smallest_detectable, c.metric),
            read,
        )
    )


def runs_table(entries: Sequence[Entry], caption: str) -> Table:
    """Runs of one question, each with its baselines below it."""
    metric = entries[0].numbers.main.metric
    pooled = [
        m for m in ("accuracy", "auroc", "concordance", "mae") if m in entries[0].numbers.pooled
    ]
    columns = [
        "Run",
        f"{words.capital(words.metric_name(metric))}, mean of people",
        "95 % interval",
        "Sd of people",
        *(f"{words.capital(words.metric_name(m))}, pooled" for m in pooled),
        "People",
        "Without score",
        "Failed folds",
        "Kept out",
        "How epoch and settings were chosen",
        "Sees of the test person",
    ]
    rows: list[Row] = []
    for entry in entries:
        n, question = entry.numbers, entry.run.question
        access = words.TARGET_ACCESS[n.target_access]
        rows.append(
            Row(
                (
                    entry.label,
                    *_estimate_cells(n.main),
                    *(words.value(n.pooled.get(m), m) for m in pooled),
                    *(str(c) for c in (n.subjects, n.undefined, n.failed_folds, n.excluded)),
                    words.SELECTIONS.get(question.selection, question.selection),
                    access,
                ),
                "bad" if question.selection.startswith("oracle") else "plain",
            )
        )
        if n.thinned is not None:
            rows.append(
                Row(
                    (
                        f"{entry.letter} with the test person's classes thinned 90/10",
                        *_estimate_cells(n.thinned),
                        *("",) * (len(pooled) + 5),
                        access,
                    ),
                    "warn",
                )
            )
    for name, other in entries[0].numbers.baselines.items():
        blank = ("",) * (len(pooled) + 6)
        rows.append(
            Row((f"baseline: {name.replace('_', ' ')}", *_estimate_cells(other), *blank), "quiet")
        )
    return table(
        caption,
        columns,
        rows,
        numeric=range(1, 8 + len(pooled)),
        note="Baselines see no signal: the most frequent class, facts about the windows, "
        "the previous stimulus. Pooled numbers count windows, not people; published "
        "figures are mostly pooled."
        + (THINNED_NOTE if any(e.numbers.thinned is not None for e in entries) else ""),
    )


def _estimate_cells(e: Estimate) -> tuple[str, str, str]:
    pooled = " (pooled)" if e.pooled else ""
    return (
        f"{words.value(e.mean, e.metric)}{pooled}",
        words.interval(e.low, e.high, e.metric, e.unreliable),
        words.value(e.sd, e.metric),
    )


def _published_blocks(entries: Sequence[Entry]) -> Iterator[Block]:
    lead = entries[0]
    rows = literature.matching(
        lead.run.question,
        modalities=lead.numbers.modalities,
        subjects=lead.numbers.subjects,
        majority=lead.numbers.majority,
    )
    if rows.empty:
        yield Paragraph(
            f"No published figure of {lead.run.question.dataset} is in the project's table.",
            "quiet",
        )
        return
    if any(entry.run.lookalike for entry in entries):
        yield Paragraph(
            "The runs are on look-alike data; published figures are of real people. "
            "They are listed for reference only.",
            "warn",
            "Not comparable.",
        )
        yield _published_table(rows, "Published figures of real people", folded=True, reasons=True)
        return
    shared, apart = rows[rows["shared"]], rows[~rows["shared"]]
    if len(shared):
        yield _published_table(
            shared,
            "Published figures that share data set, people, task, "
            "modality and protocol (not ranked)",
            folded=False,
        )
        yield Paragraph(
            f"Here, in the same aggregation (pooled over windows): {_pooled_accuracy(lead)}."
        )
    else:
        yield Paragraph("No published figure shares the question, the modality and the people.")
    if len(apart):
        yield _published_table(
            apart,
            f"{len(apart)} published figures of other questions, with the reason",
            folded=True,
            reasons=True,
        )


def _pooled_accuracy(entry: Entry) -> str:
    return f"{entry.label} {words.value(entry.numbers.pooled.get('accuracy'), 'accuracy')}"


def _published_table(
    rows: pd.DataFrame, caption: str, *, folded: bool, reasons: bool = False
) -> Table:
    columns = [
        "Method",
        "Task",
        "Modality",
        "Protocol",
        "Accuracy %",
        "Chance %",
        "Selection",
        "Read in",
    ]
    made = []
    for row in rows.to_dict("records"):
        oracle = str(row["selection"]).startswith("oracle")
        cells = [
            f"{row['method']} {row['year']}".strip(),
            row["task"],
            row["modality"],
            str(row["protocol"]).replace("_", " "),
            row["accuracy_text"],
            "unknown" if pd.isna(row["chance"]) else f"{row['chance']:.1f}",
            words.SELECTIONS.get(str(row["selection"]), str(row["selection"])),
            " — ".join(str(row[k]) for k in ("read_in", "note") if row[k]),
        ]
        cells += [str(row["reason"])] if reasons else []
        made.append(Row(tuple(map(str, cells)), "bad" if oracle else "plain"))
    columns += ["Why apart"] if reasons else []
    return table(
        caption,
        columns,
        made,
        numeric=(4, 5),
        folded=folded,
        note="Red: the epoch was chosen on the data that are reported. Rows are in the "
        "order of the project's table, not of their figures.",
    )


def _figure_blocks(entries: Sequence[Entry]) -> Iterator[Block]:
    for entry in entries:
        mark = LOOKALIKE_SHORT if entry.run.lookalike else ""
        if len(entries) > 1:
            yield Paragraph("", label=entry.label)
        yield Figures(tuple(drawings.of_run(entry.letter, entry.run, entry.numbers, mark)))


def _audit_blocks(entries: Sequence[Entry]) -> Iterator[Block]:
    for entry in entries:
        if not entry.findings:
            yield Paragraph(f"{entry.label}: no audit was made. Run `dolorimeter audit`.", "warn")
            continue
        count = {s: sum(f.severity == s for f in entry.findings) for s in SEVERITIES}
        yield Paragraph(
            f"Faults: {count['fault']}, warnings: {count['warning']}, passed: {count['passed']}, "
            f"not verified: {count['declared']}.",
            "bad" if count["fault"] else "warn" if count["warning"] else "good",
            entry.label,
        )
        order = list(SEVERITIES)
        ranked = sorted(entry.findings, key=lambda f: order.index(f.severity))
        loud = [_finding_row(f) for f in ranked if f.severity != "passed"]
        quiet = [_finding_row(f) for f in ranked if f.severity == "passed"]
        columns = ("Result", "Check", "Evidence", "Where", "What was found")
        if loud:
            yield table(f"{entry.label}: found, or not verified", columns, loud)
        if quiet:
            yield table(f"{entry.label}: {len(quiet)} passed", columns, quiet, folded=True)
    yield Paragraph(EVIDENCE, "quiet")
    yield Paragraph(f"No check can detect: {' '.join(NOT_DETECTABLE)}", "quiet")


def _finding_row(f: Finding) -> Row:
    said, tone = SEVERITIES[f.severity]
    return Row(
        (
            said,
            f.check.replace("_", " "),
            f.evidence,
            f.where,
            f.message,
        ),
        tone,
    )


def _number_tables(entries: Sequence[Entry]) -> Iterator[Block]:
    for entry in entries:
        n = entry.numbers
        rows = []
        for e in n.measures:
            rows.append(
                (
                    words.metric_name(e.metric),
                    *_estimate_cells(e),
                    words.value(n.pooled.get(e.metric), e.metric),
                    str(e.undefined),
                )
            )
        mean = {e.metric for e in n.measures}
        rows += [
            (words.metric_name(m), "–", "–", "–", words.value(v, m), "–")
            for m, v in n.pooled.items()
            if m not in mean
        ]
        yield table(
            entry.label,
            (
                "Metric",
                "Mean of people",
                "95 % interval",
                "Sd of people",
                "Pooled over windows",
                "People without score",
            ),
            rows,
            numeric=(1, 2, 3, 4, 5),
        )
        yield Items(tuple(n.remarks))
        for made in (missing_table, silence_table, worth_table):
            if beyond := made(entry.label, n):
                yield beyond
        if n.groups:
            yield table(
                f"{entry.label}: groups of people",
                (
                    "Column",
                    "Group",
                    "People",
                    words.metric_name(n.main.metric),
                    "95 % interval",
                    "Note",
                ),
                n.groups,
                numeric=(2, 3, 4),
            )


def _data_blocks(entries: Sequence[Entry]) -> Iterator[Block]:
    for entry in entries:
        run, n = entry.run, entry.numbers
        facts = [f"{words.people(n.subjects)}, {n.windows:,} windows tested; {n.class_counts}"]
        facts += run.notes
        if run.label_source:
            facts.append(words.LABEL_SOURCES[run.label_source])
        if len(entries) > 1:
            yield Paragraph("", label=entry.label)
        yield Items(tuple(dict.fromkeys(facts)))
        yield from _kept_out(entry)
        yield from _failed(entry)


def _kept_out(entry: Entry) -> Iterator[Block]:
    """Exclusions counted by reason."""
    out = entry.run.exclusions
    if out.empty:
        everything = everything_takes_part(len(out), entry.run.notes)
        yield Paragraph(
            "Nothing was kept out."
            if everything
            else "Nothing of the task's conditions was kept out; the others are listed above."
        )
        return
    grouped = out.groupby(["what", "reason"], sort=True)
    rows = [
        (
            what,
            reason,
            len(part),
            part["subject"].nunique(),
            ", ".join(sorted({str(s) or "–" for s in part["subject"]})[:8]),
        )
        for (what, reason), part in grouped
    ]
    yield table(
        f"{len(out)} things kept out",
        ("What", "Reason", "Count", "People", "Who"),
        rows,
        numeric=(2, 3),
    )


def _failed(entry: Entry) -> Iterator[Block]:
    """Folds that failed, by subject."""
    failed = entry.run.failures
    if failed.empty:
        return
    rows = [
        Row(
            (
                str(row["fold"]),
                str(row["subjects"]),
                str(row["error"]),
            ),
            "bad",
        )
        for row in failed.to_dict("records")
    ]
    lost = set(failed["fold"]) - set(entry.run.predictions["fold"])
    what = (
        "these people are not in the figures"
        if len(lost) == failed["fold"].nunique()
        else f"the people of {len(lost)} are in no figure, those of the others by other seeds"
    )
    yield table(
        f"{len(rows)} folds failed: {what}",
        ("Fold", "People", "Error"),
        rows,
    )


def _made_blocks(entries: Sequence[Entry], command: str) -> Iterator[Block]:
    rows: list[tuple[str, str]] = []
    for entry in entries:
        run = entry.run
        prefix = f"{entry.letter} " if len(entries) > 1 else ""
        rows.append((f"{prefix}question", run.question.hash))
        rows.append((f"{prefix}seeds", ", ".join(map(str, run.seeds))))
        rows += [(f"{prefix}{k}", str(v)) for k, v in _flat(run.environment)]
    if command:
        rows.append(("command", command))
    yield table("Versions, seeds and machine", ("What", "Value"), rows, folded=True)


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, item in sorted(values.items()):
        if isinstance(item, Mapping):
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


def _known(entries: Sequence[Entry]) -> dict[str, str]:
    """TRIPOD+AI items that follow from the run."""
    entry = entries[0]
    run, n, question = entry.run, entry.numbers, entry.run.question
    known = {
        "5a": words.data_name(question) + (" (look-alike, synthesised)" if run.lookalike else ""),
        "8a": words.LABEL_SOURCES.get(run.label_source or "", "Source of the labels not stated."),
        "11": f"{len(run.exclusions)} windows, recordings or people kept out; see Data.",
        "12a": words.protocol_words(question),
        "12c": f"{run.model}; {words.SELECTIONS.get(question.selection, question.selection)}",
        "12d": f"Scores of each person; sd between people {words.value(n.main.sd, n.main.metric)}",
        "12e": ", ".join(words.metric_name(m) for m in n.pooled),
        "13": n.class_counts,
        "15": f"{words.task_words(question)} ({n.kind})",
        "18f": f"dolorimeter {dolorimeter.__version__}, MIT",
        "20a": f"Subjects: {len(run.people)} in the data or left out, {n.subjects} tested, "
        f"{len(run.people) - n.subjects} lost; folds that failed: {len(run.failures)}",
        "21": f"{words.people(n.subjects)}, {n.windows:,} windows; {n.class_counts}",
        "23a": f"{words.metric_name(n.main.metric)} {words.value(n.main.mean, n.main.metric)} "
        f"({words.interval(n.main.low, n.main.high, n.main.metric, n.main.unreliable)})"
        f"{', pooled over windows' if n.main.pooled else ''}. {_answer(n)[1]}",
    }
    if n.modalities:
        known["9b"] = f"Signals: {', '.join(n.modalities)}"
    if n.groups:
        known["14"] = "Scores by group are in All numbers."
    if n.lowest:
        known["23b"] = n.lowest
    return {number: text for number, text in known.items() if text}


def _letter(place: int) -> str:
    """A, B, … Z, A1, B1 and so on."""
    turn, letter = divmod(place, 26)
    return chr(ord("A") + letter) + (str(turn) if turn else "")


def labels(entries: Iterable[Entry]) -> list[str]:
    """Labels of the runs, in order."""
    return [entry.label for entry in entries]
