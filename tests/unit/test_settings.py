"""Goal: a service starts with what was meant or not at all. Method: good, bad and misspelt variables."""

from pathlib import Path

import pytest

from exchange.kit.settings import Settings, SettingsError


def test_nothing_set_gives_the_defaults() -> None:
    settings = Settings.from_environment({"PATH": "/bin", "EXCHANGE_PORT": ""})
    assert settings == Settings()
    assert (settings.port, settings.fee_bps, settings.settlement_delay_hours) == (8000, 50, 1)


def test_every_variable_is_read() -> None:
    settings = Settings.from_environment(
        {
            "DATABASE_URL": "postgresql://host/name",
            "EXCHANGE_DATA_DIR": "/data",
            "EXCHANGE_HOST": "0.0.0.0",  # noqa: S104 - a value, nothing is bound
            "EXCHANGE_PORT": "0",
            "EXCHANGE_REDIS_URL": "redis://host",
            "EXCHANGE_SECONDS_PER_HOUR": "0.5",
            "EXCHANGE_FEE_BPS": "0",
            "EXCHANGE_SETTLEMENT_DELAY_HOURS": "24",
            "EXCHANGE_TRUSTED_PROXIES": "10.1.2.3, fd00::/8",
            "EXCHANGE_BENCH_ECHO": "1",
            "EXCHANGE_LOG_LEVEL": "debug",
            "EXCHANGE_LOG_FORMAT": "json",
            "EXCHANGE_RATE_KEY": "100/2",
            "EXCHANGE_RATE_PARTICIPANT": "200/2",
            "EXCHANGE_RATE_CANCELS": "off",
            "EXCHANGE_RATE_ADDRESS": "5/60",
            "EXCHANGE_RATE_FAILURES": "1/3600",
            "EXCHANGE_OTLP_ENDPOINT": "https://collector:4318",
            "EXCHANGE_TRACE_RATIO": "0.25",
            "EXCHANGE_RATE_REFUSALS": "3/4",
            "EXCHANGE_RATE_BYTES": "off",
            "EXCHANGE_METRICS_NETWORKS": "10.9.0.0/16",
            "EXCHANGE_HEAD_TIMEOUT_S": "2",
            "EXCHANGE_BODY_TIMEOUT_S": "3",
            "EXCHANGE_READER_TIMEOUT_S": "4",
            "EXCHANGE_DRAIN_S": "0",
            "EXCHANGE_STOP_TIMEOUT_S": "5",
            "EXCHANGE_STATEMENT_TIMEOUT_S": "6",
            "EXCHANGE_CONNECTIONS_MAX": "7",
            "EXCHANGE_CONNECTIONS_PER_ADDRESS_MAX": "8",
            "EXCHANGE_URL": "http://host:8000",
            "EXCHANGE_KEY": "cx_secret",
        }
    )
    assert settings == Settings(
        database_url="postgresql://host/name",
        data_dir=Path("/data"),
        host="0.0.0.0",  # noqa: S104 - a value, nothing is bound
        port=0,
        redis_url="redis://host",
        seconds_per_hour=0.5,
        fee_bps=0,
        settlement_delay_hours=24,
        trusted_proxies=("10.1.2.3", "fd00::/8"),
        bench_echo=True,
        log_level="debug",
        log_format="json",
        rate_key=(100, 2),
        rate_participant=(200, 2),
        rate_cancels=None,
        rate_address=(5, 60),
        rate_failures=(1, 3600),
        otlp_endpoint="https://collector:4318",
        trace_ratio=0.25,
        rate_refusals=(3, 4),
        rate_bytes=None,
        metrics_networks=("10.9.0.0/16",),
        head_timeout_s=2,
        body_timeout_s=3,
        reader_timeout_s=4,
        drain_s=0,
        stop_timeout_s=5,
        statement_timeout_s=6,
        connections_max=7,
        connections_per_address_max=8,
    )


@pytest.mark.parametrize(
    "name, value",
    [
        ("EXCHANGE_PORT", "65536"),
        ("EXCHANGE_PORT", "-1"),
        ("EXCHANGE_PORT", "8_000"),
        ("EXCHANGE_PORT", "9" * 5000),
        ("EXCHANGE_FEE_BPS", "10001"),
        ("EXCHANGE_FEE_BPS", "0.5"),
        ("EXCHANGE_SECONDS_PER_HOUR", "nan"),
        ("EXCHANGE_SECONDS_PER_HOUR", "inf"),
        ("EXCHANGE_SECONDS_PER_HOUR", "0"),
        ("EXCHANGE_TRUSTED_PROXIES", "*"),
        ("EXCHANGE_TRUSTED_PROXIES", "10.0.0.1,"),
        ("EXCHANGE_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("EXCHANGE_BENCH_ECHO", "yes"),
        ("EXCHANGE_LOG_LEVEL", "loud"),
        ("EXCHANGE_LOG_FORMAT", "xml"),
        ("EXCHANGE_RATE_KEY", "0/1"),
        ("EXCHANGE_RATE_KEY", "5"),
        ("EXCHANGE_RATE_FAILURES", "5/0"),
        ("EXCHANGE_RATE_ADDRESS", "5/3601"),
        ("EXCHANGE_HEAD_TIMEOUT_S", "0"),
        ("EXCHANGE_CONNECTIONS_MAX", "0"),
        ("EXCHANGE_METRICS_NETWORKS", "everyone"),
        ("EXCHANGE_OTLP_ENDPOINT", "collector:4318"),
        ("EXCHANGE_OTLP_ENDPOINT", "grpc://collector:4317"),
        ("EXCHANGE_TRACE_RATIO", "1.1"),
        ("EXCHANGE_TRACE_RATIO", "nan"),
        ("EXCHANGE_HOST", "a b"),
        ("EXCHANGE_REDIS_URL", "http://host"),
        ("EXCHANGE_REDIS_URL", "redis://host:99999/0"),
        ("EXCHANGE_REDIS_URL", "redis:///0"),
        ("EXCHANGE_OTLP_ENDPOINT", "http://"),
        ("EXCHANGE_OTLP_ENDPOINT", "http://collector:abc"),
        ("DATABASE_URL", "mysql://host/name"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_rule(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} must be "):
        Settings.from_environment({name: value})


def test_all_faults_are_named_at_once_and_no_password_is_shown() -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.from_environment(
            {
                "DATABASE_URL": "mysql://me:secret@host",
                "EXCHANGE_PORT": "x",
                "EXCHANGE_FEE_BP": "5",
            }
        )
    text = str(refusal.value)
    assert "DATABASE_URL must be" in text
    assert "EXCHANGE_PORT must be an integer from 0 to 65535" in text
    assert "not 'x'" in text
    assert "EXCHANGE_FEE_BP is not a setting" in text
    assert "secret" not in text
