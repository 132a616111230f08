"""Subjects under other names: reports are passed on, and identifiers of people must not be.

The run and its findings are renamed before a page is built, so that no part of a report can hold
an identifier.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pandas as pd

from dolorimeter.audits import Finding
from dolorimeter.datasets.participants import identity
from dolorimeter.evaluation import Question, Run
from dolorimeter.storage import digest

PREFIXES = ("S", "P", "X", "Q")
COUNTED = (
    r"\b(?:folds?|seeds?|rows?|epochs?|classe?s?|columns?|calls?)\s+\d+(?:,\s*\d+)*\b"
    r"|(?<!subject )(?<![\w.])\d+(?:\.\d+)? (?:s|Hz|of condition)\b"
)
"""Numbers that are not subjects, whatever the subjects are called."""

RECORDING = "recording"
"""What stands for a recording whose name holds an identifier that cannot be taken out."""


def pseudonyms(subjects: Iterable[str], *, salt: str = "", reveal: bool = False) -> dict[str, str]:
    """Map each subject to ``S01``, ``S02`` …, in the order of a salted hash of the name.

    Parameters
    ----------
    subjects : iterable of str
    salt : str, default ""
        Secret of the run (``Run.salt``). Without it, who has the list of subjects cannot tell who
        is who. Empty draws one, so that the names differ from call to call.
    reveal : bool, default False
        Map each subject to itself.

    Returns
    -------
    dict of str to str
        No pseudonym is the identifier of a subject, whatever its case.

    Examples
    --------
    >>> sorted(pseudonyms(["anna", "bert"], salt="secret").values())
    ['S01', 'S02']
    """
    salt = salt or secrets.token_hex(16)
    names = sorted(set(map(str, subjects)), key=lambda s: (digest("subject", salt, s), s))
    if reveal:
        return {name: name for name in sorted(names)}
    width = max(2, len(str(len(names))))
    taken = {name.casefold() for name in names}
    for prefix in (*PREFIXES, "Subject-"):
        mapped = {name: f"{prefix}{i:0{width}d}" for i, name in enumerate(names, start=1)}
        if not taken & {value.casefold() for value in mapped.values()}:
            break
    return mapped


def hide(text: str, names: Mapping[str, str], *, numbers: bool = False) -> str:
    """Return the text with every subject's identifier replaced by the pseudonym.

    The longest identifier goes first. One of letters counts where no letter or digit touches it,
    one that mixes letters and digits counts anywhere but inside a longer number. One of digits is
    replaced after the word "subject" and in names of files, since a sentence has other numbers;
    with `numbers` (places and names of recordings) it is replaced wherever it is a separate word.
    In a list after the word "subjects" its other spellings (``1``, ``1.0`` of ``01``) are replaced
    too. Case and Unicode composition are ignored.

    Parameters
    ----------
    text : str
    names : mapping of str to str
        Subject to pseudonym.
    numbers : bool, default False
        Also replace identifiers of digits wherever they stand alone.

    Returns
    -------
    str
    """
    known = {_folded(n): p for n, p in names.items() if n and n != p}
    if not known:
        return text
    longest = sorted(known, key=len, reverse=True)
    digits = [re.escape(n) for n in longest if n.isdigit()]
    alone = [re.escape(n) for n in longest if not n.isdigit() and not _is_mixed(n)]
    mixed = [_without_digits_around(n) for n in longest if _is_mixed(n)]
    text = unicodedata.normalize("NFC", text)
    # In one pass, so that a pseudonym is never taken for an identifier.
    choices = [COUNTED] if digits else []
    if mixed:
        choices.append("|".join(mixed))
    if alone:
        choices.append(rf"(?<![^\W_])(?:{'|'.join(alone)})(?![^\W_])")
    if digits:
        any_of = f"(?:{'|'.join(digits)})"
        before = "" if numbers else r"(?:(?<=subject )|(?<=subject ')|(?<=sub-)|(?<=[/\\]))"
        choices.append(rf"{before}(?<![^\W_]){any_of}(?![^\W_])")
        choices.append(rf"(?<![^\W_.]){any_of}(?=(?:_\w+)?\.[A-Za-z])")
    found = re.compile("|".join(f"(?:{c})" for c in choices), re.IGNORECASE)
    text = found.sub(lambda m: known.get(_folded(m.group(0)), m.group(0)), text)
    if digits and not numbers:
        plain = {identity(n): known[n] for n in longest if n.isdigit()}
        spelt = rf"0*(?:{'|'.join(map(re.escape, plain))})(?:\.0+)?"
        listed = re.compile(rf"(?i)(?<=subjects )'?{spelt}'?(?:(?:, | and |; )'?{spelt}'?)*\b")

        def pseudonym(match: re.Match[str]) -> str:
            return known.get(match.group(0)) or plain[identity(match.group(0))]

        each = re.compile(rf"(?<![\w.]){spelt}(?![\w.])")
        text = listed.sub(lambda m: each.sub(pseudonym, m.group(0)), text)
    return text


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _without_digits_around(name: str) -> str:
    """Pattern of an identifier that is not the beginning or end of another number."""
    before = r"(?<!\d)" if name[0].isdigit() else ""
    after = r"(?!\d)" if name[-1].isdigit() else ""
    return f"{before}{re.escape(name)}{after}"


def _is_mixed(name: str) -> bool:
    """Whether an identifier is unlike a word or a number, so that it can only be itself."""
    letters = any(c.isalpha() for c in name)
    return len(name) >= 3 and letters and any(c.isdigit() for c in name)


def pseudonymised(run: Run, names: Mapping[str, str]) -> Run:
    """Return the run with pseudonyms in the place of subjects, wherever it names one.

    Parameters
    ----------
    run : Run
    names : mapping of str to str
        Subject to pseudonym, of all subjects of the run.

    Returns
    -------
    Run
        The same rows. The question's hash differs if the question names subjects, since a hash
        of a short list can be undone by trying.
    """
    if all(name == value for name, value in names.items()):
        return run
    return replace(
        run,
        question=_question(run.question, names),
        model=hide(run.model, names),
        predictions=_table(run.predictions, names),
        baselines=_table(run.baselines, names),
        degradation=_table(run.degradation, names),
        failures=_table(run.failures, names),
        exclusions=_table(run.exclusions, names),
        cohort=tuple(sorted(names.get(s, "unknown") for s in run.cohort)),
        notes=tuple(hide(note, names) for note in run.notes),
        environment=hidden(run.environment, names),
    )


def hidden(value: Any, names: Mapping[str, str]) -> Any:
    """Return plain values or a dataclass with `hide` applied to all text in them.

    Keys and texts that are exactly an identifier of a subject become its pseudonym, if they are
    not only digits; keys of digits are replaced too where all keys are subjects.
    """
    if isinstance(value, str):
        return hide(value, names)
    if isinstance(value, Mapping):
        subjects = bool(value) and all(str(key) in names for key in value)
        return {
            names[str(k)] if subjects else hide(k, names) if isinstance(k, str) else k: hidden(
                v, names
            )
            for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(hidden(v, names) for v in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: hidden(getattr(value, f.name), names) for f in fields(value) if f.init}
        return replace(value, **changed)
    return value


def hidden_finding(finding: Finding, names: Mapping[str, str]) -> Finding:
    """Return a finding whose place and message name no subject."""
    return replace(
        finding,
        where=hide(finding.where, names, numbers=True),
        message=hide(finding.message, names),
    )


def with_plain_names(names: Mapping[str, str]) -> dict[str, str]:
    """Return the mapping with the subjects of ``dataset:subject`` also under their plain names."""
    plain = {name.partition(":")[2]: value for name, value in names.items() if ":" in name}
    return plain | dict(names)


def _question(question: Question, names: Mapping[str, str]) -> Question:
    return replace(
        question,
        subset="".join(_listed(part, names) for part in re.split("(, |; )", question.subset)),
        split=_arguments(question.split, names),
        windows=hidden(question.windows, names),
    )


def _listed(words: str, names: Mapping[str, str]) -> str:
    """Part of a subset: a list of subjects under pseudonyms, or other words as they are."""
    each = words.split()
    named = [word for word in each if names.get(word, word) != word]
    of_digits = all(word.isdigit() for word in named)
    if not named or (of_digits and not all(word.isdigit() for word in each)):
        return hide(words, names)  # a number in "first 3" is no subject
    known = set(names.values())
    shown = hide(words, names, numbers=True).split()
    return " ".join(sorted(word if word in known else "unknown" for word in shown))


def _arguments(value: Any, names: Mapping[str, str], *, of_subjects: bool = False) -> Any:
    """Arguments of a split; in a list of subjects every text is one, known or not."""
    if isinstance(value, Mapping):
        return {
            k: _arguments(v, names, of_subjects=of_subjects or str(k).endswith("subjects"))
            for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return [_arguments(v, names, of_subjects=of_subjects) for v in value]
    if of_subjects and not isinstance(value, bool):
        return names.get(str(value), "unknown")
    return names.get(value, hide(value, names)) if isinstance(value, str) else value


def _table(table: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """A table whose columns of text name no subject."""
    changed = {}
    for column in table.columns:
        values = table[column]
        if not (values.dtype == object or isinstance(values.dtype, pd.StringDtype)):
            continue
        each = {v: _cell(str(column), v, names) for v in values.unique() if isinstance(v, str)}
        changed[column] = values.map(lambda v, each=each: each.get(v, v))
    return table.assign(**changed)


def _cell(column: str, text: str, names: Mapping[str, str]) -> str:
    if column == "subject":
        return names.get(text, "unknown" if text else "")
    if column == "subjects":
        return "; ".join(names.get(s, hide(s, names)) for s in text.split("; "))
    if column not in ("recording", "stimulus", "what"):
        return hide(text, names)
    shown = hide(text, names, numbers=True)
    ids = [_folded(n) for n, p in names.items() if n != p and len(n) >= 3]
    return RECORDING if any(n in _folded(shown) for n in ids) else shown
