"""The benchmark of the tokenizers runs, and refuses to compare tokenizers that disagree."""

import pytest

from miniclip.benchmarks import tokenizer


@pytest.mark.slow
def test_it_prints_a_row_for_each_tokenizer(capsys, monkeypatch):
    pytest.importorskip("open_clip")
    for name in ("RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM"):  # the command sets both
        monkeypatch.setenv(name, "1")
    assert tokenizer.main(["--rounds", "1", "--n", "20"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].startswith("20 new captions in each of 1 rounds")
    assert "miniclip, tiktoken" in rows[3] and "open_clip" in rows[5]


def test_other_ids_are_an_error():
    tokenizer.check({"miniclip, tiktoken": [[1, 2]], "theirs": [[1, 2]]})
    with pytest.raises(ValueError, match=r"theirs gives other ids: \[2\], not \[1, 2\]"):
        tokenizer.check({"miniclip, tiktoken": [[1, 2]], "theirs": [[2]]})


def test_a_file_of_captions_that_is_missing_is_one_sentence(capsys, tmp_path):
    pytest.importorskip("open_clip")
    with pytest.raises(SystemExit) as stopped:
        tokenizer.main(["--captions", str(tmp_path / "none.txt")])
    assert stopped.value.code == 2 and capsys.readouterr().err.count("\n") == 1
