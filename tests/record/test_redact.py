"""Secrets go, and nothing of an ordinary config goes with them."""

from __future__ import annotations

import pytest

from repro_hydra.record.redact import (
    PLACEHOLDER,
    find_secret,
    hide,
    is_secret_name,
    known_secrets,
    redact,
    redact_argv,
    redact_text,
    redact_url,
    secrets_in,
)

# Put together here, so that no scanner (ours included) takes this file for a leak.
TOKENS = {
    "aws": "AKIA" + "Q7N4B2KXW3ZPL5MD",
    "github": "ghp_" + "a1B2" * 9,
    "github_oauth": "gho_" + "a1B2" * 9,
    "github_fine": "github_pat_" + "11ABCDEFG0" * 4,
    "openai": "sk-" + "abc1" * 12,
    "openai_project": "sk-proj-" + "aB3_-x" * 6,
    "anthropic": "sk-ant-api03-" + "aB3_-x" * 6,
    "slack": "xoxb-" + "1234567890-abcdef",
    "hugging_face": "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
    "google": "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q"[:35],
    "jwt": "eyJ"
    + "hbGciOiJIUzI1NiJ9"
    + ".eyJ"
    + "zdWIiOiIxMjM0NTY3ODkwIn0"
    + "."
    + "dBjftJeZ4CVPmB92K27uhbUJU1p1r",
}
PRIVATE_KEY = (
    "-----BEGIN RSA "
    + "PRIVATE KEY-----\n"
    + "MIIEpAIBAAKCAQEA7" * 4
    + "\n-----END RSA "
    + "PRIVATE KEY-----"
)


@pytest.mark.parametrize("name", sorted(TOKENS))
def test_a_token_is_known_by_its_form_wherever_it_stands(name: str) -> None:
    token = TOKENS[name]
    assert redact_text(f"before {token} after") == f"before {PLACEHOLDER} after"
    assert redact({"note": [f"x={token}"]}) == {"note": [f"x={PLACEHOLDER}"]}
    assert redact_argv([f"model.name={token}"]) == [f"model.name={PLACEHOLDER}"]
    assert find_secret(f"a\nb = '{token}'\n".encode()) is not None


def test_a_private_key_goes_whole_also_when_its_end_is_missing() -> None:
    assert redact_text(f"key:\n{PRIVATE_KEY}\nend") == f"key:\n{PLACEHOLDER}\nend"
    assert redact_text(PRIVATE_KEY[:90]) == PLACEHOLDER


@pytest.mark.parametrize(
    "name",
    [
        "token", "auth_token", "hf_token", "HF_TOKEN", "githubToken", "secret", "client_secret", "password",
        "db.password", "passwd", "PGPASSWORD", "api_key", "apikey", "apiKey", "wandb.api_key", "access_key",
        "AWS_SECRET_ACCESS_KEY", "aws_access_key_id", "private_key", "credential", "credentials", "auth", "MYSQL_PWD",
        "OPENAI_API_KEY", "login.passphrase", "authorization", "service.dbpassword", "api_keys",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)
    assert redact({name: "hunter2"}) == {name: PLACEHOLDER}
    assert redact("hunter2", key=name) == PLACEHOLDER
    assert redact_argv([f"+{name}=hunter2", f"--{name}=hunter2", f"--{name}", "hunter2", "last"]) == [
        f"+{name}={PLACEHOLDER}", f"--{name}={PLACEHOLDER}", f"--{name}", PLACEHOLDER, "last",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tokenizer", "bpe"), ("tokenizer_name", "gpt2-large"), ("max_tokens", "many"), ("num_tokens", "1k"),
        ("author", "A. Uthor"), ("authors", "A, B"), ("key", "loss"), ("seed.key", "training.seed"),
        ("token_dim", "64"),
        ("pad_token", "<pad>"), ("pad_token", "pad"), ("eos_token", "</s>"), ("object_token", "<obj>"),
        ("tokens", "a b c"), ("token_type", "word"), ("sort_key", "name"), ("public_key", "abc"), ("monkey", "abc"),
        ("keyboard", "abc"), ("PWD", "/home/me"), ("OLDPWD", "/home"), ("password_file", "/run/x"), ("secretary", "B"),
        ("auth_type", "basic"), ("authority", "me"), ("primary_metric", "val.loss"), ("attention.key_dim", "64"),
        ("compass", "north"), ("tokenizer.path", "tok.json"), ("secret_name", "vault/db"), ("query_token", "q"),
    ],
)  # fmt: skip
def test_names_that_only_sound_like_one(name: str, value: str) -> None:
    config = {name: value}
    assert redact(config) is config
    assert redact_argv([f"{name}={value}", f"--{name}", value]) == [f"{name}={value}", f"--{name}", value]


@pytest.mark.parametrize("value", [5, 0.5, True, False, None, "", "${oc.env:TOKEN}", "$TOKEN", "???"])
def test_numbers_booleans_and_references_are_never_secrets(value: object) -> None:
    config = {"token": value, "nested": {"use_auth_token": value, "secrets": {"a": value}}}
    assert redact(config) is config


def test_on_a_command_line_what_hydra_reads_as_a_number_or_a_boolean_stays() -> None:
    argv = ["use_auth_token=true", "token=5", "auth=null", "--token", "7", "--use-auth-token", "--fast"]
    assert redact_argv(argv) == argv


def test_everything_below_a_mapping_of_secrets_is_one() -> None:
    config = {"credentials": {"aws": {"id": "abc", "n": 3}}, "password": ["a", "b"]}
    assert redact(config) == {
        "credentials": {"aws": {"id": PLACEHOLDER, "n": 3}},
        "password": [PLACEHOLDER] * 2,
    }


def test_what_holds_no_secret_is_returned_as_it_is() -> None:
    config = {"a": [1, {"b": "c"}], "url": "https://example.org/x", "remote": "git@example.org:a/b.git"}
    assert redact(config) is config
    text = "loss=0.5 after epoch 3: see https://example.org/a@b"
    assert redact_text(text) is text


def test_only_the_changed_branch_is_copied() -> None:
    config = {"kept": {"a": 1}, "login": {"password": "x"}}
    assert redact(config)["kept"] is config["kept"]
    assert config["login"] == {"password": "x"}


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://me:hunter2@example.org/a.git", "https://example.org/a.git"),
        ("https://hunter2@example.org/a.git", "https://example.org/a.git"),
        ("ssh://git@example.org/a.git", "ssh://git@example.org/a.git"),
        ("ssh://git:hunter2@example.org/a.git", "ssh://git@example.org/a.git"),
        ("git@example.org:a.git", "git@example.org:a.git"),
        ("/srv/git/a.git", "/srv/git/a.git"),
        (
            "https://example.org/a?access_token=hunter2&x=1",
            f"https://example.org/a?access_token={PLACEHOLDER}&x=1",
        ),
        ("https://me:p@ss@example.org/a.git", "https://example.org/a.git"),
    ],
)
def test_urls_lose_their_credentials(url: str, clean: str) -> None:
    assert redact_url(url) == clean
    assert "hunter2" not in redact_text(f"cloning {url} failed")


@pytest.mark.parametrize(
    "text",
    [
        "login(password='hunter2')",
        "{'api_key': 'hunter2', 'n': 1}",
        '{"token": "hunter2"}',
        "wandb.api_key=hunter2,seed=1",
        "python x.py --token=hunter2 --seed=1",
        "-token='hunter2'",
        "outputs/wandb.api_key=hunter2/0",
        "Authorization: Basic hunter2hunter2",
        "Authorization: Bearer hunter2hunter2hunter2",
        "postgresql+psycopg://me:hunter2@db/x",
    ],
)
def test_texts_lose_secrets_by_the_name_before_them(text: str) -> None:
    assert "hunter2" not in redact_text(text)
    assert PLACEHOLDER in redact_text(text)


def test_source_lines_in_a_traceback_keep_their_calls() -> None:
    line = "    password = getpass(prompt)\n    client(token=read_token(), key=key)"
    assert redact_text(line) is line


def test_hydra_mappings_on_the_command_line() -> None:
    argv = ["+login={user: me, password: hunter2}", "model={max_tokens: 5}"]
    assert redact_argv(argv) == [f"+login={{user: me, password: {PLACEHOLDER}}}", "model={max_tokens: 5}"]


@pytest.mark.parametrize(
    "content",
    [
        b'if text.startswith("-----BEGIN PRIVATE ' + b'KEY-----"):\n    raise ValueError\n',
        b"AKIA" + b"IOSFODNN7EXAMPLE",
        b"name: sk-resnet50-imagenet-lr0.1-batch-256\n",
        b"url = 'http://user:password@localhost'\n",
        bytes(range(256)) * 200,
        b"",
    ],
)
def test_files_that_only_mention_secrets_are_no_secrets(content: bytes) -> None:
    assert find_secret(content) is None


def test_a_secret_in_a_file_is_named_with_its_line() -> None:
    assert find_secret(b"a\nb\n" + PRIVATE_KEY.encode()) == ("a private key", 3)
    escaped = '{"private_key": "' + PRIVATE_KEY.replace("\n", "\\n") + '"}'
    assert find_secret(escaped.encode()) == ("a private key", 1)


def test_a_whole_config_without_secrets_is_the_same_object() -> None:
    config = {f"group{i}": {f"name{j}": f"some value {j}/path/{i}" for j in range(20)} for i in range(50)}
    assert redact(config) is config


@pytest.mark.parametrize("blob", ["0f" * 500_000 + "=", "a." * 500_000 + "://=:", "x-" * 500_000 + ":"])
def test_a_long_blob_is_no_trap(blob: str) -> None:
    """A megabyte that almost matches comes back; a pattern that backtracks over it would take hours."""
    assert redact_text(blob) == blob
    assert redact_argv([f"key={{{blob}}}"]) == [f"key={{{blob}}}"]


def test_a_secret_in_a_large_binary_file_is_found() -> None:
    noise = bytes(range(256)) * 20_000
    kind_and_line = find_secret(noise + b" " + TOKENS["github"].encode() + b" " + noise)
    assert kind_and_line is not None
    assert kind_and_line[0] == "a GitHub token"


@pytest.mark.parametrize(
    "text",
    [
        "password: hunter2hunter2",
        "X-Api-Key: hunter2hunter2",
        "aws_secret_access_key = hunter2hunter2",
        "starting with --api-key hunter2hunter2 now",
        "Command '['curl', '--token', 'hunter2hunter2']' returned 1",
        r"the server said {\"password\": \"hunter2hunter2\"}",
        "requests.get(url, auth=('me', 'hunter2hunter2'))",
        "machine x login me password hunter2hunter2",
        "https://hooks.example.org/services/T0AB/B0AB/hunter2hunter2",
    ],
)
def test_texts_lose_secrets_in_every_way_of_writing(text: str) -> None:
    """YAML, headers, ini files, options in a text, JSON within JSON, clients' logins, hooks."""
    assert "hunter2" not in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "SyntaxError: unexpected token: identifier",
        "    api_key = config.api_key",
        "ran with --max-tokens 4096 --tokenizer bert-base-v2",
        "seed.key: model.seed2",
    ],
)
def test_sentences_and_source_that_only_mention_secrets_stay(text: str) -> None:
    assert redact_text(text) is text


def test_names_are_judged_with_what_stands_above() -> None:
    """A bare ``key`` is a secret below ``api``, and none below ``seed``; ``pass`` and cookies are secrets."""
    config = {
        "api": {"key": "hunter2"},
        "seed": {"key": "seed"},
        "login": {"pass": "hunter2"},
        "cookie": "a=b",
    }
    assert redact(config) == {
        "api": {"key": PLACEHOLDER},
        "seed": {"key": "seed"},
        "login": {"pass": PLACEHOLDER},
        "cookie": PLACEHOLDER,
    }


def test_what_the_environment_calls_a_secret_is_hidden_under_any_name() -> None:
    environ = {
        "MY_TOKEN": "hunter2hunter2",
        "SHORT_TOKEN": "abc",
        "KEY_FILE": "/home/me/key",
        "TOKEN_PATH": "/home/me/token",
        "API_KEY": "12345678",
        "LANG": "C.UTF-8",
    }
    known = known_secrets(environ)
    assert known == ("hunter2hunter2",)
    assert hide({"a": ["see hunter2hunter2"], "n": 1}, known) == {"a": [f"see {PLACEHOLDER}"], "n": 1}
    assert hide("nothing", ()) == "nothing"


def test_what_a_config_calls_a_secret_is_known_by_its_text() -> None:
    """An error may repeat it under no name at all. Paths, short texts and references are left alone."""
    config = {
        "db": {"password": "hunter2hunter2", "user": "me", "port": 5432},
        "api": {"key": "0123-4567-89", "keys": ["not one"]},
        "credentials": {"who": "somebody-and-something"},
        "token": "/run/secrets/token",
        "secret": "${oc.env:SECRET}",
        "password": "short",
    }
    known = secrets_in(config)
    assert set(known) == {"hunter2hunter2", "0123-4567-89", "somebody-and-something"}
    assert hide("no login with hunter2hunter2", known) == "no login with [redacted]"
