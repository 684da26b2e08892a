"""What writes may have changed: each key once, the oldest first, by database, with a hint at what it holds."""

from quorate.trusted.changes import EXTRA, HIDDEN, KEY_BYTES, LIST, STRING, UNKNOWN, WHOLE, ZSET, Changes


def kept() -> Changes:
    changes = Changes()
    changes.is_kept = True
    return changes


def test_each_key_is_noted_once_with_the_last_hint() -> None:
    changes = kept()
    changes.note(0, b"a", STRING)
    changes.note(0, b"b", UNKNOWN)
    changes.note(0, b"a", LIST)
    changes.note(0, b"b", ZSET)
    changes.note(0, b"b", UNKNOWN)
    changes.note(1, b"a", UNKNOWN)
    assert (changes.count, changes.size) == (3, 3 * (1 + KEY_BYTES))
    assert changes.take(10, 99_999) == [(0, b"a", LIST), (0, b"b", ZSET), (1, b"a", UNKNOWN)]
    assert (changes.count, changes.size) == (0, 0)


def test_as_many_as_asked_for_are_taken_oldest_first() -> None:
    changes = kept()
    for number in range(5):
        changes.note(number % 2, b"%d" % number, STRING)
    assert [key for _, key, _ in changes.take(2, 99_999)] == [b"0", b"2"]
    assert changes.count == 3
    assert [key for _, key, _ in changes.take(2, 99_999)] == [b"4", b"1"]
    changes.note(0, b"5", STRING)
    assert [key for _, key, _ in changes.take(2, 99_999)] == [b"3", b"5"]
    assert changes.take(1, 99_999) == []


def test_the_first_may_be_looked_at() -> None:
    changes = kept()
    assert changes.first() is None
    changes.note(3, b"a", STRING)
    changes.note(0, b"b", STRING)
    assert changes.first() == (3, b"a")
    assert changes.count == 2


def test_what_was_taken_is_noted_anew() -> None:
    changes = kept()
    changes.note(0, b"a", STRING)
    changes.take(1, 99_999)
    changes.note(0, b"a", LIST)
    assert changes.take(1, 99_999) == [(0, b"a", LIST)]


def test_a_whole_database_is_noted_once_and_taken_with_all_keys_noted_in_it() -> None:
    changes = kept()
    changes.note(3, b"a", STRING)
    changes.note(4, b"bc", STRING)
    changes.note_whole(3)
    changes.note_whole(5)
    changes.note_whole(3)
    assert changes.whole == [3, 5]
    assert changes.take_whole() == 3
    assert changes.take_whole() == 5
    assert (changes.count, changes.size) == (1, 2 + KEY_BYTES)
    assert changes.take(9, 99_999) == [(4, b"bc", STRING)]


def test_while_nobody_takes_them_nothing_is_noted() -> None:
    changes = Changes()
    changes.note(0, b"a", STRING)
    changes.note_whole(0)
    changes.keep(0, b"b", STRING)
    changes.keep_whole(0)
    assert (changes.count, changes.size, changes.whole) == (0, 0, [])
    assert (changes.take(9, 99_999), changes.take_recent()) == ([], [])


def test_what_is_forgotten_is_noted_no_more() -> None:
    changes = kept()
    changes.note(0, b"a", STRING)
    changes.note_whole(1)
    changes.forget()
    changes.note(0, b"b", STRING)
    assert (changes.count, changes.size, changes.whole, changes.take(9, 99_999)) == (0, 0, [], [])


def test_the_journal_is_told_each_write_s_changes_again_and_again() -> None:
    changes = kept()
    changes.is_journaled = True
    changes.note(0, b"a", STRING)
    changes.note(0, b"a", STRING)
    changes.note_whole(2)
    changes.note_extra(b"script")
    expected = [(0, STRING, b"a"), (0, STRING, b"a"), (2, WHOLE, b""), (0, EXTRA, b"script")]
    assert changes.take_recent() == expected
    assert changes.take_recent() == []
    assert changes.count == 1


def test_the_journal_is_told_though_no_state_is_kept() -> None:
    changes = Changes()
    changes.is_journaled = True
    changes.note(0, b"a", STRING)
    assert changes.take_recent() == [(0, STRING, b"a")]


def test_what_is_only_read_again_is_no_write_s_change() -> None:
    changes = kept()
    changes.is_journaled = True
    changes.keep(0, b"a", STRING)
    changes.keep_whole(1)
    assert changes.take_recent() == []
    assert (changes.take(1, 99_999), changes.whole) == ([(0, b"a", STRING)], [1])


def test_what_the_journal_told_is_noted_again() -> None:
    changes = kept()
    changes.note_again([(0, STRING, b"a"), (2, WHOLE, b""), (0, EXTRA, b"script")], 0)
    assert (changes.take(9, 99_999), changes.whole) == ([(0, b"a", STRING)], [2])
    assert changes.take_recent() == []


def test_an_extra_is_nobodys_where_there_is_no_journal() -> None:
    changes = kept()
    changes.note_extra(b"script")
    assert (changes.count, changes.take_recent()) == (0, [])


def test_where_keys_may_come_and_go_unnoted_is_remembered_and_journaled() -> None:
    changes = kept()
    changes.is_journaled = True
    changes.note_hidden(3)
    changes.note_hidden(3)
    assert list(changes.hidden) == [3]
    recent = changes.take_recent()
    assert recent == [(3, HIDDEN, b"")] * 2
    again = kept()
    again.note_again(recent, 0)
    assert list(again.hidden) == [3]
    assert again.count == 0
