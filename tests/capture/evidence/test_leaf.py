"""Records and commitments."""

from __future__ import annotations

import hashlib
import json

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from capture.evidence.leaf import (
    CALL_FIELDS,
    COMMITTED,
    SALT_SIZE,
    call_record,
    commitments,
    erase,
    record,
    unpack_secret,
)
from capture.wire.json.lenient import clean

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SECRET = st.binary(min_size=SALT_SIZE, max_size=SALT_SIZE)
TEXTS = st.fixed_dictionaries({name: st.none() | TEXT for name in COMMITTED})


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_0-9]+", fullmatch=True),
        st.none() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    )
)
def test_a_record_is_canonical_json(facts: dict[str, str | int | None]) -> None:
    assert record(facts) == rfc8785.dumps({**facts, "v": 1})


@given(
    st.fixed_dictionaries(
        {name: st.none() | st.integers(0, 2**53 - 1) | st.text() for name in CALL_FIELDS}
    ),
    TEXTS,
    SECRET,
)
def test_a_calls_record_is_canonical_json_of_what_databases_keep(
    facts: dict[str, str | int | None], texts: dict[str, str | None], secret: bytes
) -> None:
    made = {**facts, **commitments(texts, secret)}
    stored = {name: clean(one) if isinstance(one, str) else one for name, one in made.items()}
    assert call_record({**made, "more": 1}) == rfc8785.dumps(stored)


@given(TEXTS, SECRET)
def test_each_text_is_committed_to_with_a_salt_of_its_own(
    texts: dict[str, str | None], secret: bytes
) -> None:
    made = json.loads(record(commitments(texts, secret)))
    all_salts = hashlib.shake_256(secret).digest(16 * 10)
    for number, name in enumerate(sorted(COMMITTED)):
        text, salt = texts[name], all_salts[number * 16 : number * 16 + 16]
        expected = text and hashlib.sha256(salt + text.encode()).hexdigest()
        assert made[name] == expected or (text == "" and made[name])


@given(TEXTS, SECRET, st.lists(st.sampled_from(COMMITTED), max_size=4), st.data())
def test_erasing_texts_and_salts_leaves_the_record_as_it_was(
    texts: dict[str, str | None], secret: bytes, names: list[str], data: st.DataObject
) -> None:
    before = commitments(texts, secret)
    left = erase(secret, texts, names)
    less = {name: None if name in names else text for name, text in texts.items()}
    assert commitments(less, left) == before
    again = data.draw(st.lists(st.sampled_from(COMMITTED), max_size=4))
    assert commitments({**less, **dict.fromkeys(again)}, erase(left, less, again)) == before
    salts = unpack_secret(secret)
    for name in names:
        salt = salts[name]
        assert isinstance(salt, bytes)
        assert texts[name] is None or salt not in left
    assert not names or secret not in left
