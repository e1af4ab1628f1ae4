"""What every test session needs; databases for tests are fixtures of `tests.databases`."""

from tests import hypothesis_profiles

hypothesis_profiles.load()
