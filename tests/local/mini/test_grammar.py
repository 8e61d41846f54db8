"""What the mini corpus says, and that dev and test hold back from training what they promise."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from local.mini.commands import SLOTS, TEMPLATES, spell
from local.mini.designs import DESIGNS
from local.mini.grammar import Command, Grammar, sentence, words

UTTERANCES = {"train": 4000, "dev": 800, "test": 800}  # fewer than the corpus has


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[list[Command]]]:
    grammar = Grammar(42)
    return {
        split: [grammar.sample(split, rng) for _ in range(count)]
        for split, count in UTTERANCES.items()
        for rng in [random.Random(f"test {split}")]
    }


def test_vocabulary_is_large_and_confusable():
    assert len(words()) >= 150
    for pair in ("FIFTEEN FIFTY", "TUESDAY THURSDAY", "KITCHEN CHICKEN", "ANNA HANNAH"):
        assert set(pair.split()) <= words()


def test_a_design_says_what_is_drawn():
    codes = DESIGNS["codes"]
    assert len(words(codes)) == 26 + 10 + 8 + 1 and not {"TANGO", "ZULU"} & words()
    grammar, rng = Grammar(42, codes), random.Random(1)
    drawn = {split: [sentence(grammar.sample(split, rng)) for _ in range(1500)] for split in UTTERANCES}
    assert all({word for text in texts for word in text.split()} == words(codes) for texts in drawn.values())
    assert not set(drawn["train"]) & {*drawn["dev"], *drawn["test"]}
    # Nothing to guess from: what training says before a word says little of the word.
    pairs = Counter(pair for text in drawn["train"] for pair in zip(text.split(), text.split()[1:]))
    assert max(pairs.values()) < 0.02 * sum(pairs.values())


def test_words_are_capitals_and_every_slot_is_used():
    assert all(word.replace("'", "").isalpha() and word.isupper() for word in words())
    used = {
        slot for lines in TEMPLATES.values() for line in lines for slot in SLOTS if "{" + slot + "}" in line
    }
    assert used == set(SLOTS)


def test_every_template_combines_at_least_two_slots():
    for lines in TEMPLATES.values():
        for line in lines:
            assert line.count("{") >= 2, line


def test_spell():
    spelled = {7: "SEVEN", 10: "TEN", 15: "FIFTEEN", 50: "FIFTY", 47: "FORTY SEVEN", 100: "ONE HUNDRED"}
    assert {number: spell(number) for number in spelled} == spelled


@pytest.mark.parametrize("number", [0, 101, -3])
def test_spell_refuses_what_it_cannot(number):
    with pytest.raises(ValueError, match=str(number)):
        spell(number)


def test_no_command_of_dev_or_test_is_in_training(drawn):
    texts = {split: {command.text for spoken in drawn[split] for command in spoken} for split in drawn}
    assert not texts["train"] & texts["dev"]
    assert not texts["train"] & texts["test"]
    assert not texts["dev"] & texts["test"]


def test_training_never_meets_a_held_out_pair(drawn):
    grammar = Grammar(42)
    assert not any(grammar.held_pairs(*spoken) for spoken in drawn["train"])


@pytest.mark.parametrize("split", ["dev", "test"])
def test_half_of_the_sentences_hold_a_pair_that_no_training_text_has(drawn, split):
    """By the texts alone, whatever the grammar says of itself: two fillers of one command, never in one
    sentence."""
    heard = [f" {sentence(spoken)} " for spoken in drawn["train"]]
    with_filler: dict[str, set[int]] = {}
    for fillers in SLOTS.values():
        for filler in fillers:
            with_filler[filler] = {i for i, text in enumerate(heard) if f" {filler} " in text}
    grammar, new = Grammar(42), 0
    for spoken in drawn[split]:
        pairs = [pair for command in spoken for pair in grammar.held_pairs(command)]
        new += any(not with_filler[a] & with_filler[b] for a, b in pairs)
    assert new / len(drawn[split]) >= 0.5


def test_every_word_of_the_tests_is_learnt_in_training(drawn):
    count = Counter(word for spoken in drawn["train"] for word in sentence(spoken).split())
    assert set(count) <= words()
    rarest = min((count[word], word) for word in words())
    assert rarest[0] >= 8, rarest


def test_a_command_with_a_held_out_pair_has_no_home_in_training():
    grammar = Grammar(42)
    pairs = [(room, device) for room in SLOTS["ROOM"] for device in SLOTS["DEVICE"]]
    commands = [Command(f"TURN ON THE {room} {device}", (room, device)) for room, device in pairs]
    homes = {split: [c for c in commands if grammar.home(c) == split] for split in ("train", "dev", "test")}
    assert all(homes.values())
    assert not any(grammar.held_pairs(command) for command in homes["train"])
    assert sum(bool(grammar.held_pairs(command)) for command in homes["test"]) > len(homes["test"]) / 3


def test_another_seed_holds_out_other_pairs():
    command = [Command("", (room, city)) for room in SLOTS["ROOM"] for city in SLOTS["CITY"]]
    one, two = ({c.fillers for c in command if Grammar(seed).held_pairs(c)} for seed in (1, 2))
    assert one and two and one != two


def test_sampling_depends_on_the_seed_alone():
    first = [sentence(Grammar(3).sample("train", random.Random(9))) for _ in range(2)]
    assert first[0] == first[1]


def test_unknown_split_is_refused():
    with pytest.raises(ValueError, match="valid"):
        Grammar(1).sample("valid", random.Random(1))
