import pytest

pytest.register_assert_rewrite("tests.sdks.both_ways")
