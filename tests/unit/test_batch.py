import asyncio

import orjson
import pytest

from mira.errors import UserError
from mira.teacher.batch.claims import Claims, Question, input_line
from mira.teacher.batch.results import Failure, Result, read_result
from mira.teacher.endpoint import Completion
from mira.teacher.pricing import Charge

URL = "http://127.0.0.1:9/v1"
COMPLETION = {
    "choices": [{"finish_reason": "stop", "message": {"content": "hello"}}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3},
}


def line(response=None, error=None, custom_id="k"):
    row = {"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": error}
    return orjson.dumps(row)


def executed(status, body):
    return line({"status_code": status, "request_id": "r", "body": body})


def test_a_line_with_a_completion_is_a_reply():
    result = read_result(executed(200, COMPLETION))
    assert result is not None and result.key == "k"
    assert isinstance(result.outcome, Completion) and result.outcome.text == "hello"
    assert result.outcome.usage.total_tokens == 10


@pytest.mark.parametrize(
    ("status", "reason", "retry"),
    [
        (429, "rate_limited", True),
        (500, "server_error", True),
        (408, "server_error", True),
        (0, "server_error", True),
        (400, "refused_by_endpoint", False),
        (404, "refused_by_endpoint", False),
    ],
)
def test_a_line_with_another_status_is_a_failure_that_is_not_billed(status, reason, retry):
    result = read_result(executed(status, {"error": {"message": "because"}}))
    assert result == Result("k", Failure(reason, f"{status}: because", retry, billed=False))


@pytest.mark.parametrize(
    ("code", "reason", "billed"),
    [
        ("batch_expired", "batch_expired", False),
        ("batch_cancelled", "batch_cancelled", False),
        ("request_timeout", "timeout", True),
        ("something_new", "server_error", False),
    ],
)
def test_a_line_without_a_response_is_tried_again(code, reason, billed):
    result = read_result(line(error={"code": code, "message": "because"}))
    assert result == Result("k", Failure(reason, f"{code}: because", retry=True, billed=billed))


def test_a_completion_that_is_none_may_have_been_billed():
    outcome = read_result(executed(200, {"choices": []})).outcome
    assert (outcome.reason, outcome.retry, outcome.billed) == ("malformed_response", True, True)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"k"',
        b"{}",
        line({"body": {}}),
        line({"status_code": "many", "body": {}}),
        line("not an object"),
        line({"status_code": 200, "body": COMPLETION}, custom_id=7),
        executed(200, COMPLETION)[:-40],
    ],
)
def test_other_lines_are_malformed(text):
    assert read_result(text) is None


@pytest.mark.parametrize("body", [None, "text", {"error": "text"}, {"error": {"code": 1}}, [1]])
def test_errors_in_any_form_have_a_detail(body):
    outcome = read_result(executed(503, body)).outcome
    assert outcome.reason == "server_error" and outcome.detail.startswith("503: ")


# --- claims --------------------------------------------------------------------------------


def key(number):
    return f"{number:032x}"


def make(claims, numbers, payer="run"):
    async def locked():
        async with claims.locked():
            body = orjson.dumps({"messages": [{"role": "user", "content": "q\u2028"}]})
            questions = [Question(key(n), n % 2, Charge(0.5, n)) for n in numbers]
            return claims.make(payer, questions, [input_line(key(n), body) for n in numbers])

    return asyncio.run(locked())


def find(claims, known=()):
    async def locked():
        async with claims.locked():
            return claims.find(known)

    return asyncio.run(locked())


def test_a_claim_is_found_by_others_until_it_is_closed(tmp_path):
    claims, others = Claims(tmp_path, URL, "m"), Claims(tmp_path, URL, "m")
    claim = make(claims, range(3))
    claim.file_id, claim.batch_id = "f", "b"
    claims.save(claim)
    [found] = find(others)
    assert found.questions == claim.questions and found.payer == "run"
    assert (found.digest, found.file_id, found.batch_id) == (claim.digest, "f", "b")
    assert claim.fresh and not found.fresh and found.may_have_batch
    assert found.content() == claim.content() and found.content().count(b"\n") == 3
    messages = [{"role": "user", "content": "q\u2028"}]
    assert list(found.iter_messages()) == [(question, messages) for question in claim.questions]
    assert find(others, known={claim.digest}) == []
    claims.finish(claim, {"status": "completed"})
    assert find(others) == [] and not claims.is_open(claim) and not others.is_open(found)
    assert len(list(found.iter_messages())) == 3


def test_claims_of_other_models_and_endpoints_are_not_found(tmp_path):
    make(Claims(tmp_path, URL, "m"), range(3))
    assert find(Claims(tmp_path, URL, "n")) == []
    assert find(Claims(tmp_path, URL + "2", "m")) == []
    assert len(find(Claims(tmp_path, URL, "m"))) == 1


def test_only_one_follows_a_claim_at_a_time(tmp_path):
    claims = Claims(tmp_path, URL, "m")
    claim = make(claims, range(3))
    [other] = find(claims)
    assert not other.try_lock()
    claim.close()
    assert other.try_lock()


def test_equal_batches_have_equal_names_until_one_of_them_has_ended(tmp_path):
    one, two = Claims(tmp_path / "one", URL, "m"), Claims(tmp_path / "two", URL, "m")
    first = make(one, [1, 2])
    assert make(two, [2, 1]).digest == first.digest
    one.drop(first)
    second = make(one, [1, 2])
    assert second.digest == first.digest and not one.is_open(first) and one.is_open(second)
    one.finish(second, {})
    assert make(one, [1, 2]).digest != first.digest
    assert make(one, [1, 2, 3]).digest != first.digest


def test_what_a_killed_process_leaves_of_a_claim_in_the_making_is_removed(tmp_path):
    claims = Claims(tmp_path, URL, "m")
    claim = make(claims, range(3))
    (claims.folder / f"{claim.digest}.json").unlink()
    assert find(claims) == []
    assert [path.name for path in claims.folder.iterdir()] == [".lock"]


def test_a_submitted_batch_without_its_input_is_the_users_to_decide(tmp_path):
    claims = Claims(tmp_path, URL, "m")
    claim = make(claims, range(3))
    (claims.folder / f"{claim.digest}.jsonl.zst").unlink()
    with pytest.raises(UserError, match=r"jsonl\.zst is missing.*paid, again"):
        find(claims)


def test_a_folder_that_cannot_be_written_is_said_plainly(tmp_path):
    (tmp_path / "batches").write_text("a file")
    with pytest.raises(UserError, match="Cannot write the journal"):
        Claims(tmp_path, URL, "m")
