"""Addresses of MLflow stores: which file they name, and what is shown of those with a password."""

import os
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from vadbench.base.errors import TrackingError
from vadbench.tracking.address import TrackingAddress, sqlite_uri, tracking_address

SECRETS = st.text("abc0!$&*+,;=~'-_.()%:@é", min_size=1, max_size=8).map(lambda text: f"Zq{text}Qz")
ENDS = ["127.0.0.1:9", "host:5000/mlflow", "db/name?sslmode=require", "[::1]:5000/a"]


SCHEMES = st.sampled_from(["http", "https", "postgresql", "mysql+pymysql"])


@given(SECRETS, st.booleans(), st.booleans(), SCHEMES, st.sampled_from(ENDS))
def test_no_password_is_shown(secret, is_token, quoted, scheme, end):
    secret = secret.replace(":", "") if is_token else secret
    written = quote(secret, safe="") if quoted else secret
    user = written if is_token else f"alice:{written}"
    address = TrackingAddress(f"{scheme}://{user}@{end}")
    assert address.uri == address.given
    told = f"{address.given}/api: no access for {written} with {secret} at {end}; cannot parse {user}@{end}"
    for text in (address.shown, address.without_secrets(told)):
        assert "Zq" not in text and "alice" not in text
    assert address.shown.startswith(f"{scheme}://{end.partition('?')[0]}")


@given(SECRETS)
def test_no_secret_of_a_query_is_shown(secret):
    address = TrackingAddress(f"postgresql://host/db?sslmode=require&user=u&password={quote(secret)}")
    assert address.shown == "postgresql://host/db?..."
    assert "Zq" not in address.without_secrets(f"{address.given} refused {secret}, {quote(secret)}")


@pytest.mark.parametrize("plain", ["http://127.0.0.1:9/x", "https://example.org", "databricks", "postgresql://h/db"])
def test_addresses_without_secrets_are_shown_as_they_are(plain):
    address = TrackingAddress(plain)
    assert address.shown == plain
    assert address.without_secrets(f"{plain}: refused") == f"{plain}: refused"


FOLDERS = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/"), min_size=1, max_size=12)


@given(
    FOLDERS.filter(lambda name: name not in (".", "..")) | st.sampled_from(["a%20b", "is it?on", ":x", "~", "a#b&c"])
)
def test_the_address_of_a_file_leads_to_it_whatever_its_folder_is_called(name):
    file = Path("/w") / name / "mlflow.db"
    url = make_url(sqlite_uri(file))
    assert (url.get_backend_name(), url.database, dict(url.query)) == ("sqlite", str(file), {})


def test_usual_folders_have_the_address_they_always_had():
    assert sqlite_uri(Path("results/mlflow.db")) == "sqlite:///results/mlflow.db"
    assert sqlite_uri(Path("/w/my project/é/#1&2/m.db")) == "sqlite:////w/my project/é/#1&2/m.db"


def test_an_address_that_was_shown_can_be_given(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    for name in ("plain", "my%20project", "is it?on", ":x"):
        default = tracking_address(tmp_path / name)
        assert default.file == tmp_path / name / "mlflow.db"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", default.shown)
        assert tracking_address().file == default.file
        monkeypatch.delenv("MLFLOW_TRACKING_URI")


def test_a_tilde_is_the_home_folder(monkeypatch):
    home = Path(os.environ["HOME"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///~/runs/m.db")
    assert tracking_address().file == home / "runs/m.db"
    assert tracking_address().uri == f"sqlite:///{home}/runs/m.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "~/mlruns")
    assert tracking_address().uri == f"{home}/mlruns"


def test_the_query_of_a_sqlite_address_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/m.db?timeout=30")
    address = tracking_address()
    assert address.file == tmp_path / "m.db"
    assert dict(make_url(address.uri).query) == {"timeout": "30"}
    assert make_url(address.uri).database == str(tmp_path / "m.db")


@pytest.mark.parametrize("address", ["sqlite:///", "sqlite://", "sqlite:///:memory:"])
def test_a_database_without_a_file_is_refused(monkeypatch, address):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(TrackingError, match="MLFLOW_TRACKING_URI must name a file"):
        tracking_address()


def test_the_home_of_a_user_that_does_not_exist_is_no_store(monkeypatch):
    for address in ("~no-such-user/mlruns", "sqlite:///~no-such-user/m.db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        with pytest.raises(TrackingError, match="MLFLOW_TRACKING_URI names ~no-such-user"):
            tracking_address()
