"""A reason has the same facts in every language, and each language's own words."""

import re
import string

import pytest
from storefront.studio.layout import reason_words
from storefront.studio.layout.reason_words import REASON_LANGUAGES, Clause

CLAUSES = {name: value for name, value in vars(reason_words).items() if isinstance(value, Clause)}
LETTERS = {"en": "[a-z]", "ko": "[가-힣]", "ja": "[ぁ-んァ-ヶ一-龠]", "zh": "[一-龥]"}


def test_a_clause_has_a_field_for_each_language():
    assert len(CLAUSES) > 25


@pytest.mark.parametrize("name", CLAUSES)
def test_a_clause_is_in_its_languages_and_names_the_same_facts(name):
    facts = [{field for _, field, _, _ in string.Formatter().parse(one) if field} for one in CLAUSES[name]]
    assert facts == [facts[0]] * len(REASON_LANGUAGES)
    for language, sentence in CLAUSES[name]._asdict().items():
        words = re.sub(r"\{\w+\}", "", sentence)
        assert name == "NEITHER_SIDE" or re.search(LETTERS[language], words)
        assert language in ("en", "ko") or not re.search("[가-힣]", words)


def test_each_language_has_its_own_words_in_its_sentence():
    both = Clause("{at}, {share}", "{at}에 {share}", "{at}に{share}", "{at} {share}")
    assert both.filled(at=reason_words.ON_THE_LEFT, share="5%") == Clause(
        "on the left, 5%", "왼쪽에 5%", "左側に5%", "左侧 5%"
    )
