"""Levels of theory: which of several label sets of the same structures is read."""

from __future__ import annotations

from dataclasses import replace

from crossprune.harness.data.files.labels import Keys
from crossprune.harness.data.schema import Card, DataOptions
from crossprune.harness.errors import StudyError, unknown_name


def level_of(card: Card, options: DataOptions) -> str:
    """Return which of a card's label sets is read; empty if there is one only.

    Raises
    ------
    StudyError
        If there is none of the name that is asked for, or a file of the user's has several and none is named.
    """
    if not card.levels:
        if options.level is not None and card.files:
            raise StudyError(f"{card.name}: level = {options.level!r}, and it has labels of one level only")
        return ""
    if options.level is None:
        if options.levels or options.card:
            raise StudyError(
                f"{card.name}: labels of {len(card.levels)} levels of theory ({', '.join(card.levels)}); say "
                f'which are meant: level = "{next(iter(card.levels))}"'
            )
        return next(iter(card.levels))
    if options.level not in card.levels:
        raise StudyError(f"{card.name}: {unknown_name('level', options.level, card.levels)}")
    return options.level


def of_level(card: Card, options: DataOptions) -> Card:
    """Return the card of one label set; references and energies of atoms are of the first one only."""
    if not (name := level_of(card, options)):
        return card
    level = card.levels[name]
    found = replace(card, level_of_theory=level.level_of_theory or level.functional)
    if name != next(iter(card.levels)):
        found = replace(found, reference={}, isolated_atom_energies=None)
    energies = level.isolated_atom_energies or found.isolated_atom_energies
    return replace(found, isolated_atom_energies=energies)


def keys_of(card: Card, options: DataOptions) -> Keys:
    """Return the names of the labels that are read, of the level that is asked for."""
    name = level_of(card, options)
    if not name:
        return replace(options.keys, level=options.level)
    level, own = card.levels[name], options.keys
    given = {one: getattr(level, f"{one}_key") for one in ("energy", "forces", "stress", "virial")}
    if doubled := [one for one in given if getattr(own, one)]:
        raise StudyError(f"{card.name}: {doubled[0]}_key belongs into the table of its level, {name}")
    return replace(own, **given)
