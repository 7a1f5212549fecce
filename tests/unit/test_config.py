"""The layers and the shipped files of the configuration."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.production import furnish, production

from gateway._native import TENANT_WEIGHT_MAX
from gateway._native import TENANTS_MAX as NATIVE_TENANTS_MAX
from gateway.config import TENANTS_MAX, Config, assemble, decided, load, to_toml
from gateway.errors import ConfigurationError
from gateway.feeds.options import FeedOptions, ReplayOptions, SyntheticOptions, UdpOptions
from gateway.options import TenantOptions

CONFIGS = Path(__file__).parents[2] / "configs"


# --- layers ---------------------------------------------------------------------------------------


def test_defaults() -> None:
    assert load(None, {}, []) == Config()


def test_each_layer_wins_over_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('[listen]\nhost = "file"\nport = 1\n[ops]\nhost = "file"\n[log]\nlevel="debug"')
    meant = ["listen.insecure=true", "ops.insecure=true"]
    environ = {"TICKGATE_LISTEN__PORT": "2", "TICKGATE_OPS__HOST": "environment"}
    config = load(file, environ, ["ops.host=set", *meant])
    assert (config.listen.host, config.listen.port) == ("file", 2)
    assert config.ops.host == "set"
    assert config.log.level == "debug"
    assert config.ops.port == 9464


def test_the_last_set_wins() -> None:
    assert load(None, {}, ["listen.port=1", "listen.port=2"]).listen.port == 2


PORTS = {"listen.port": 8765, "ops.port": 9464, "cluster.workers": 1, "slo.window_s": 10}
LAYER = st.dictionaries(st.sampled_from(sorted(PORTS)), st.integers(1, 64))


@given(file=LAYER, environ=LAYER, sets=LAYER)
def test_layering_is_a_chain_of_dictionaries(
    file: dict[str, int], environ: dict[str, int], sets: dict[str, int]
) -> None:
    expected = PORTS | file | environ | sets
    if expected["listen.port"] == expected["ops.port"]:
        return
    document: dict[str, dict[str, int]] = {}
    for key, value in file.items():
        section, name = key.split(".")
        document.setdefault(section, {})[name] = value
    variables = {
        f"TICKGATE_{key.upper().replace('.', '__')}": str(value) for key, value in environ.items()
    }
    config = assemble(document, variables, [f"{key}={value}" for key, value in sets.items()])
    found = msgspec.to_builtins(config)
    for key, value in expected.items():
        section, name = key.split(".")
        assert found[section][name] == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", "10.0.0.1"),  # no TOML literal: the text itself
        ('"quoted"', "quoted"),
        ("", ""),
        ("a b=c", "a b=c"),
        ("x\n[y]", "x\n[y]"),
    ],
)
def test_a_value_is_a_toml_literal_else_text(text: str, expected: str) -> None:
    sets = [f"listen.host={text}", "listen.insecure=true"]
    assert load(None, {}, sets).listen.host == expected


def test_other_variables_are_not_configuration() -> None:
    assert load(None, {"TICKGATE_DATA": "/x", "PATH": "y", "TICKGATE": "z"}, []) == Config()


def test_the_document_given_stays_as_it_was() -> None:
    document: dict[str, Any] = {"feeds": [{"type": "synthetic"}]}
    assemble(document, {}, ["feeds.0.rate=5"])
    assert document == {"feeds": [{"type": "synthetic"}]}


@pytest.mark.parametrize(
    ("environ", "sets", "decides"),
    [
        ({}, [], False),
        ({}, ["slo.percentile=99.9", "listen.port=1"], False),
        ({}, ["slo.target_us=1"], True),
        ({}, ["slo.target_us=1000"], True),
        ({}, ["slo={target_us=5}"], True),
        ({}, ["slo={percentile=50}"], True),  # the whole table, with the defaults of the rest
        ({"TICKGATE_SLO__TARGET_US": "2000"}, [], True),
        ({"TICKGATE_SLO__TARGET_US": "2000"}, ["slo.display_target_us=3000"], True),
        ({}, ["slo.display_target_us=3000"], False),
    ],
)
def test_who_decides_a_value(environ: dict[str, str], sets: list[str], decides: bool) -> None:
    for document in ({}, {"slo": {"enforce": False}}):
        assert decided(document, environ, sets, "slo.target_us", (1, 2)) == decides


# --- arrays ---------------------------------------------------------------------------------------


def test_an_index_reaches_into_an_array_and_extends_it() -> None:
    document = {"feeds": [{"type": "synthetic", "rate": 1}]}
    sets = ["feeds.0.rate=7", "feeds.1.type=udp", "feeds.1.venue=V", "listen.origins.0=http://x"]
    config = assemble(document, {}, sets)
    assert config.feeds == (SyntheticOptions(rate=7), UdpOptions(venue="V"))
    assert config.listen.origins == ("http://x",)


def test_a_whole_array_may_be_given() -> None:
    config = load(None, {}, ['feeds=[{type = "synthetic", symbols = 3}]'])
    assert config.feeds == (SyntheticOptions(symbols=3),)


def test_the_environment_extends_arrays_in_the_order_of_the_index() -> None:
    environ = {f"TICKGATE_FEEDS__{n}__VENUE": f"V{n}" for n in reversed(range(12))}
    environ |= {f"TICKGATE_FEEDS__{n}__TYPE": "synthetic" for n in range(12)}
    feeds = load(None, environ, []).feeds
    assert [feed.venue for feed in feeds] == [f"V{n}" for n in range(12)]


# --- showing and shipped files --------------------------------------------------------------------


AWKWARD = st.text(st.sampled_from('a"\\\x7f\x00\n\t\x85\u2028€😀'), max_size=20)


@given(AWKWARD, st.floats(0.001, 3600), st.booleans())
def test_what_is_shown_reads_back(interface: str, seconds: float, enforce: bool) -> None:
    udp = {"type": "udp", "venue": "U", "host": "239.1.2.3", "interface": interface}
    document = {
        "listen": {"origins": ["null", "*"]},
        "limits": {"close_timeout_s": seconds},
        "slo": {"enforce": enforce},
        "feeds": [{"type": "synthetic"}, udp],
    }
    config = assemble(document, {})
    assert assemble(tomllib.loads(to_toml(config)), {}) == config


def test_a_config_crosses_to_a_child_as_json() -> None:
    config = assemble({"feeds": [{"type": "synthetic"}]}, {})
    assert msgspec.json.decode(msgspec.json.encode(config), type=Config) == config


def test_the_schema_has_every_feed() -> None:
    schema = json.dumps(msgspec.json.schema(Config))
    for cls in (SyntheticOptions, ReplayOptions, UdpOptions):
        assert cls.__name__ in schema


def test_default_toml_has_every_key_with_its_default() -> None:
    path = CONFIGS / "default.toml"
    document = tomllib.loads(path.read_text())
    expected = json.loads(msgspec.json.encode(Config()))
    del expected["feeds"], expected["tenants"]
    assert document == expected
    assert load(path, {}, []) == Config()


def test_default_toml_has_every_feed_with_its_defaults() -> None:
    text = (CONFIGS / "default.toml").read_text()
    document = tomllib.loads(re.sub(r"^#(?=[^ ])", "", text, flags=re.MULTILINE))
    classes = {cls.__struct_config__.tag: cls for cls in FeedOptions.__args__}
    assert [table["type"] for table in document["feeds"]] == list(classes)
    for table in document["feeds"]:
        fields = msgspec.structs.fields(classes[table["type"]])
        assert {"type", *(field.encode_name for field in fields)} == set(table)
        for field in fields:
            if not field.required:
                value = table[field.encode_name]
                assert (tuple(value) if isinstance(value, list) else value) == field.default


def test_default_toml_has_tenants_with_their_defaults() -> None:
    text = (CONFIGS / "default.toml").read_text()
    document = tomllib.loads(re.sub(r"^#(?=[^ ])", "", text, flags=re.MULTILINE))
    (table,) = document["tenants"]
    assert assemble({"tenants": [table]}, {}).tenants == (TenantOptions(name="desk-a"),)


def test_tenants_have_names_of_their_own_and_are_few() -> None:
    many = [{"name": f"t{n}"} for n in range(TENANTS_MAX + 1)]
    for tenants, words in (
        ([{"name": "a"}, {"name": "b"}, {"name": "a"}], "another tenant has it"),
        (many, f"at most {TENANTS_MAX}"),
        ([{"name": "a", "weight": 0}], "1"),
        ([{"name": "a b"}], "found"),
        ([{}], "missing"),
    ):
        with pytest.raises(ConfigurationError) as error:
            assemble({"tenants": tenants}, {})
        (problem,) = error.value.problems
        assert problem.key.startswith("tenants")
        assert words in problem.message
    assert TENANTS_MAX == NATIVE_TENANTS_MAX
    weight = msgspec.json.schema(TenantOptions)["$defs"]["TenantOptions"]["properties"]["weight"]
    assert weight["maximum"] == TENANT_WEIGHT_MAX


def test_default_toml_says_why() -> None:
    plain = {"#symbols", "#channels", "#port", "#venue"}  # say it themselves
    for line in (CONFIGS / "default.toml").read_text().splitlines():
        if "=" in line and not line.startswith("# ") and line.split()[0] not in plain:
            assert "  # " in line, line


def test_the_shipped_replay_is_good(tmp_path: Path) -> None:
    document = tomllib.loads((CONFIGS / "replay.toml").read_text())
    file = tmp_path / "capture"
    file.touch()
    for feed in document["feeds"]:
        if feed["type"] == "replay":
            feed["path"] = str(file)
    assert assemble(document, {}).feeds


def test_the_shipped_production_is_good_once_its_files_are_there(tmp_path: Path) -> None:
    document = production(tmp_path)
    with pytest.raises(ConfigurationError) as refused:
        assemble(document, {})
    told = {one.key for one in refused.value.problems}
    assert told == {"tls.cert", "auth.jwt_keys", "auth.api_keys", "auth.grants"}
    furnish(tmp_path)
    config = assemble(document, {})
    assert config.feeds
    assert not config.listen.insecure


@pytest.mark.parametrize("part", ["tls", "auth"])
def test_the_shipped_production_is_refused_without(part: str, tmp_path: Path) -> None:
    furnish(tmp_path)
    document = production(tmp_path)
    del document[part]
    with pytest.raises(ConfigurationError, match=r"listen\.insecure"):
        assemble(document, {})


def test_production_toml_says_why() -> None:
    for line in (CONFIGS / "production.toml").read_text().splitlines():
        if line.startswith(("[tls]", "[auth]")) or (" = " in line and not line.startswith("# ")):
            plain = ("format", "type", "port", "venue")  # say it themselves
            assert "  # " in line or line.startswith(plain), line
